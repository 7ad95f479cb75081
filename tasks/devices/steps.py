"""The steps of a validation on a device."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from artifacts import evidence as layout_evidence
from artifacts.digest import CHUNK_BYTES, canonical_json, digest_bytes, hex_of
from artifacts.evidence import Evidence
from artifacts.files import atomic_write
from artifacts.oci import RECORD_TITLE
from artifacts.reference import parse_reference
from artifacts.registry import open_registry
from artifacts.release import VariantRecord
from artifacts.remote import evidence as remote_evidence
from artifacts.store import Blob, ContentStore
from inference.feeding import HOST
from settings.devices import Device, SimulatorDevice
from tasks.devices.answers import Looked, Ran
from tasks.devices.choice import choose, wish_of
from tasks.devices.link import Link, ask
from tasks.devices.records import Delivered, Machine, Request, TakenRelease
from tasks.devices.reports import checked_report, engine_of, evidence_from, examined, preprocess_of
from tasks.records import ImageSet
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

_LOOK_S = 180.0


@task(task_run_name="look at {name}", cache_policy=NO_CACHE)
def look(name: str, device: Device, workspace: Workspace) -> Machine:
    """Make sure that a device can be reached and can run a model.

    Args:
        name: Its name.
        device: What the settings say of it.
        workspace: Where logs go.

    Returns:
        What it has.

    Raises:
        DeviceError: It cannot; the message says who has to do what.
    """
    with _linked(name, device, workspace) as link:
        machine = examined(name, device, ask(link, "look", kind=Looked, timeout_s=_LOOK_S))
    log.info("device %s: Python %s on %s, chip %s", name, machine.python, machine.machine, machine.chip or "unknown")
    return machine


@task(task_run_name="take {request.reference}", cache_policy=NO_CACHE)
def take_release(request: Request, device: Device, machine: Machine, workspace: Workspace) -> TakenRelease:
    """Bring the record and the chosen models of a release into the store.

    Args:
        request: Which release and models.
        device: What the settings say of the device.
        machine: What it has.
        workspace: Where bytes are kept.

    Returns:
        The release.

    Raises:
        NoSuchVariant: No model fits, or several do where one is wanted.
        LayoutError: It is no whole release.
        RegistryError: The registry cannot be read.
        StoreError: Bytes are missing or damaged, or the disk is full.
    """
    reference = parse_reference(request.reference)
    with open_registry(reference) as registry:
        choice = choose(reference, registry, wish_of(request, device, machine))
        for one in choice.chosen:
            registry.fetch(one.blob, workspace.content)
    blob = workspace.content.put_bytes(choice.data)
    return TakenRelease(digest=choice.digest, record=choice.record, record_blob=blob, chosen=choice.chosen)


@task(task_run_name="copy to {name}", cache_policy=NO_CACHE)
def deliver(name: str, device: Device, release: TakenRelease, images: ImageSet, workspace: Workspace) -> Delivered:
    """Put a release and the images on a device; what is there already is hashed there and not copied again.

    Args:
        name: The device's name.
        device: What the settings say of it.
        release: The release.
        images: The annotated images.
        workspace: Where the bytes are.

    Returns:
        Where they lie.

    Raises:
        DeviceError: It cannot be reached or cannot keep them.
        StoreError: Bytes are missing or damaged here.
    """
    assert images.annotations is not None  # an evaluation set has them
    model_files = {RECORD_TITLE: release.record_blob, **{one.variant.path: one.blob for one in release.chosen}}
    data_files = {f"images/{image.name}": image.blob for image in images.images}
    data_files["annotations.json"] = images.annotations
    wanted = {blob.digest: blob.size for blob in (*model_files.values(), *data_files.values())}
    content, limit = workspace.content, device.copy_timeout
    with _linked(name, device, workspace) as link:
        named = ask(link, "missing", kind=list[str], given=[canonical_json(wanted)], timeout_s=limit)
        # Only what was asked for, whatever it answers.
        absent = [digest for digest in wanted if digest in named]
        total = sum(wanted[digest] for digest in absent)
        if absent:
            log.info("copying %d files to %s, %.1f MB", len(absent), name, total / 1e6)
            blobs = [Blob(digest=digest, size=wanted[digest]) for digest in absent]
            ask(link, "receive", kind=str, given=_stream(blobs, content), timeout_s=limit)
        places = [_laid(link, files, limit) for files in (model_files, data_files)]
    return Delivered(release=places[0], data=places[1], copied=len(absent), copied_bytes=total)


@task(task_run_name="validate {chosen.variant.path} on {name}", cache_policy=NO_CACHE)
def run_validation(
    name: str,
    device: Device,
    release: TakenRelease,
    chosen: VariantRecord,
    images: ImageSet,
    place: Delivered,
    workspace: Workspace,
) -> Evidence:
    """Run `python -m inference validate` on a device and bring its report back.

    Args:
        name: The device's name.
        device: What the settings say of it.
        release: The release.
        chosen: The model.
        images: The images that are there.
        place: Where things lie there.
        workspace: Where logs go.

    Returns:
        What was found, checked against what was sent.

    Raises:
        DeviceRunFailed: It failed there.
        ReportRefused: The report is about something else.
        DeviceError: The device cannot be reached.
    """
    arguments = ["--model", f"{place.release}/{chosen.variant.path}"]
    arguments += ["--images", f"{place.data}/images", "--annotations", f"{place.data}/annotations.json"]
    arguments += ["--engine", engine_of(device)]
    arguments += [] if isinstance(device, SimulatorDevice) else ["--device", str(device.tpu)]
    # Not where it is the host: older packages do not know the option.
    arguments += [] if preprocess_of(device) == HOST else ["--preprocess", preprocess_of(device)]
    log.info("running %s on %s, %d images", chosen.variant.path, name, len(images.images))
    with _linked(name, device, workspace) as link:
        answer = ask(link, "run", *arguments, kind=Ran, timeout_s=device.run_timeout)
        report = checked_report(name, answer, release.record, chosen, images, link.log_path, preprocess_of(device))
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return evidence_from(report, release.digest, name, created)


@task(task_run_name="keep {found.variant}", cache_policy=NO_CACHE)
def keep(found: Evidence, workspace: Workspace) -> str:
    """Keep what was found as a file on this machine.

    Args:
        found: What was found.
        workspace: Where the file goes.

    Returns:
        The file's path.

    Raises:
        StoreError: The disk is full.
    """
    data = canonical_json(found.model_dump(mode="json"))
    name = f"{hex_of(found.release)[:12]}-{found.device}-{found.variant.replace('/', '-')}"
    path = Path(workspace.store) / "validations" / f"{name}-{hex_of(digest_bytes(data))[:8]}.json"
    atomic_write(path, data)
    return str(path)


@task(task_run_name="attach {found.variant}", cache_policy=NO_CACHE)
def attach(found: Evidence, reference: str) -> None:
    """Attach what was found to the release, where that is kept.

    Args:
        found: What was found.
        reference: The release.

    Raises:
        RegistryError: The registry cannot be written.
        StoreError: The disk is full.
    """
    target = parse_reference(reference)
    if target.kind == "oci":
        layout_evidence.attach(target.place, found)
    else:
        remote_evidence.attach(target, found)


def attached(reference: str, release: str) -> tuple[Evidence, ...]:
    """Read all evidence that a release has where it is kept.

    Args:
        reference: Where.
        release: Digest of its index.

    Raises:
        RegistryError: The registry cannot be read.
        StoreError: Bytes are missing or damaged.
    """
    with open_registry(parse_reference(reference)) as registry:
        return layout_evidence.evidence_of(registry, release)


@contextmanager
def _linked(name: str, device: Device, workspace: Workspace) -> Iterator[Link]:
    with workspace.log_file(f"device {name}") as path:
        path.touch()
        yield Link(name, device, Path(workspace.store) / "devices" / name, path)


def _stream(blobs: list[Blob], content: ContentStore) -> Iterator[bytes]:
    for blob in blobs:
        path = content.verified(blob)
        yield f"{blob.digest} {blob.size}\n".encode()
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk


def _laid(link: Link, files: Mapping[str, Blob], timeout_s: float) -> str:
    given = canonical_json({title: blob.digest for title, blob in files.items()})
    return ask(link, "lay", hex_of(digest_bytes(given))[:16], kind=str, given=[given], timeout_s=timeout_s)
