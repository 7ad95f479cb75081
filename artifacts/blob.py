"""Some bytes, named by digest."""

from __future__ import annotations

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from typing_extensions import Annotated

from artifacts.digest import check_digest, digest_bytes

# Text that pydantic accepts only in the grammar of a digest.
Digest = Annotated[str, AfterValidator(check_digest)]


class Blob(BaseModel):
    """Some bytes, named by digest; small enough to travel between steps in place of the bytes."""

    model_config = ConfigDict(frozen=True)

    digest: Digest = Field(description="sha256:<64 hex>")
    size: int = Field(ge=0, description="bytes")

    @classmethod
    def of(cls, data: bytes) -> Blob:
        """Return the name of some bytes."""
        return cls(digest=digest_bytes(data), size=len(data))
