"""A publisher that signs, and a device with pinned keys, for the tests of trust."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, List, Optional

from artifacts import layout
from artifacts.attachments import LayoutPlace, read_envelope
from artifacts.layout_tags import changes_for, channel_tag, signature_tag
from artifacts.oci import Built
from artifacts.reference import Reference, parse_reference
from artifacts.registry import LayoutRegistry
from artifacts.remote.push import packed
from artifacts.signing import PublicKey, Signer
from artifacts.statements import ChannelRecord, ReleaseStatement, signed
from inference.deploy.pull import Pulled, pull
from inference.deploy.store import DeviceStore
from inference.deploy.trust import Trust
from tests.artifacts.keys import signer
from tests.inference.deploy.support import ONE, check_with, publish

UTC = timezone.utc  # noqa: UP017
NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAME = "centernet"


class Publisher:
    """Publishes and signs into one layout, as the build side does, and as somebody who has taken the registry over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "registry"
        self.place = LayoutPlace(self.root)
        self.signer: Signer = signer("publisher")

    def release(self, version: str, *, sign: bool = True, **claims: Any) -> str:
        publish(self.folder, version)
        digest = layout.resolve(self.root, version)[0]
        if sign:
            said = {"repository": NAME, "version": version, "digest": digest, **claims}
            self.put(signature_tag(digest), signed(ReleaseStatement.model_validate(said), [self.signer]))
        return digest

    def channel(self, serial: int, digest: str, channel: str = "stable", **claims: Any) -> bytes:
        said = {"channel": channel, "repository": NAME, "serial": serial, "digest": digest, **claims}
        envelope = signed(ChannelRecord.model_validate(said), [self.signer])
        self.put(channel_tag(channel), envelope)
        return envelope

    def put(self, tag: str, envelope: bytes) -> None:
        self.place.write(tag, envelope)

    def envelope(self, tag: str) -> Any:
        found = read_envelope(self.place.registry, tag)
        assert found is not None
        return json.loads(found)

    def move_plain_tag(self, channel: str, version: str) -> None:
        parcel = packed(self.root, version)
        layout.retag(self.root, changes_for(Built(parcel.index, parcel.children, b""), [channel]))

    def named(self, name: str) -> Reference:
        return parse_reference(f"oci:{self.root}").named(name)


class Device:
    """A device with pinned keys."""

    def __init__(self, folder: Path, keys: List[PublicKey]) -> None:
        self.store = DeviceStore(folder / "device")
        self.keys = keys
        self.warnings: List[str] = []
        self.now = NOW

    def pull(self, reference: Reference, *, broken: bool = False, **options: Any) -> Pulled:
        trust = Trust(
            tuple(self.keys), options.pop("signed_as", NAME), now=lambda: self.now, warn=self.warnings.append, **options
        )
        check = check_with({0: 9.0} if broken else None)
        return pull(LayoutRegistry(Path(reference.place)), reference, ONE, self.store, check=check, trust=trust)

    @property
    def current(self) -> Optional[str]:
        state = self.store.state()
        found = state.find(state.current)
        return None if found is None else found.version
