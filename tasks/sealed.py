"""Cache records as Prefect writes and reads them: sealed."""

from __future__ import annotations

from typing import Any

from prefect.serializers import JSONSerializer
from pydantic import Field

from tasks.seal import KIND, seal, unsealed


class SealedSerializer(JSONSerializer):  # with a parameter that would be registered as another class
    """Prefect's JSON, after the SHA-256 of it; Prefect finds it by the name that a record bears.

    The digest is written without `sha256:`, or cleaning would take it for one of stored bytes.
    """

    type: str = Field(default=KIND, frozen=True)

    def dumps(self, obj: Any) -> bytes:
        """See `Serializer.dumps`."""
        return seal(super().dumps(obj))

    def loads(self, blob: bytes) -> Any:
        """See `Serializer.loads`.

        Raises:
            Unsealed: It has decayed.
        """
        return super().loads(unsealed(blob))
