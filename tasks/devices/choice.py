"""Which models of a release a validation is about. Nothing here knows Prefect."""

from __future__ import annotations

from typing import NamedTuple

from artifacts import media
from artifacts.errors import LayoutError
from artifacts.export import ReleaseFiles
from artifacts.oci import MAX_MANIFEST_BYTES, parse, read_index, read_manifest
from artifacts.reference import Reference
from artifacts.registry import Registry
from artifacts.release import MAX_RECORD_BYTES, ReleaseRecord, VariantRecord
from inference.deploy.selection import select
from inference.wish import Wish
from settings.devices import Device, SimulatorDevice
from tasks.devices.records import Machine, Request


class Choice(NamedTuple):
    """Models of a release.

    Attributes:
        digest: Of the release's index.
        record: What the release says about itself.
        data: The record's bytes.
        chosen: The models.
    """

    digest: str
    record: ReleaseRecord
    data: bytes
    chosen: tuple[VariantRecord, ...]


def wish_of(request: Request, device: Device, machine: Machine | None) -> Wish:
    """Say what is looked for.

    Args:
        request: What was asked for.
        device: What the settings say of the device.
        machine: What it has; None as long as nobody has looked. What only that can narrow down may stay open then.
    """
    own = None if isinstance(device, SimulatorDevice) else device.chip
    chip = request.chip or own or (machine.chip if machine else None)
    undecided = chip is None and machine is None and not isinstance(device, SimulatorDevice)
    every = request.every or undecided
    return Wish(chip, request.precision, request.batch, request.cores, request.io, every)


def choose(reference: Reference, registry: Registry, wish: Wish) -> Choice:
    """Look up a release and choose among its models.

    Args:
        reference: The release.
        registry: Where it is.
        wish: What is looked for.

    Returns:
        What was chosen; no model is read.

    Raises:
        NoSuchVariant: No model fits, or several do where one is wanted.
        UnknownTag: There is no such release.
        LayoutError: It is no whole release.
        RegistryError: The registry cannot be read.
        StoreError: Bytes are missing or damaged.
    """
    digest, index = registry.resolve(reference.name)
    if parse(index, "an index").get("mediaType") != media.INDEX:
        raise LayoutError(f"{reference} is one chip's manifest: name the release that it belongs to.")
    children = [(child, registry.read(child.blob, MAX_MANIFEST_BYTES)) for child in read_index(index)]
    files = ReleaseFiles.of([read_manifest(data, child.chip) for child, data in children])
    data = registry.read(files.record, MAX_RECORD_BYTES)
    record = ReleaseRecord.from_json(data)
    files.checked_against(record)
    paths = [variant.path for variant in select(record, record.chips, wish)]
    return Choice(digest, record, data, tuple(one for one in record.variants if one.variant.path in paths))
