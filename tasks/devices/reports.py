"""What a device says about itself and about a model, and whether it is believed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from artifacts.evidence import Evidence
from artifacts.release import Accuracy, Protocol, ReleaseRecord, VariantRecord
from artifacts.schema import problems
from artifacts.variant import CHIPS
from inference.annotations import dataset_digest
from inference.feeding import HOST
from inference.validate import ValidationReport
from settings.devices import Device, SimulatorDevice
from tasks.devices.answers import Finding, Looked, Ran
from tasks.devices.failures import install_command
from tasks.devices.records import Machine
from tasks.errors import DeviceEngineMissing, DevicePackageMissing, DeviceRunFailed, ReportRefused
from tasks.records import ImageSet

_FOUND = "found"
_NEEDED = ("Python", "numpy", "OpenCV", "pydantic")
_MAX_REASON = 600


def engine_of(device: Device) -> str:
    """Return the engine that shall run the model on a device."""
    return "simulator" if isinstance(device, SimulatorDevice) else device.engine


def preprocess_of(device: Device) -> str:
    """Return what shall prepare the images on a device."""
    return HOST if isinstance(device, SimulatorDevice) else device.preprocess


def examined(name: str, device: Device, answer: Looked) -> Machine:
    """Judge by what `python -m inference doctor` found whether a model can run on a device.

    Args:
        name: The device's name.
        device: What the settings say of it.
        answer: The agent's.

    Returns:
        What it has.

    Raises:
        DevicePackageMissing: The package is not there, or something that it needs.
        DeviceEngineMissing: Nothing there can run a model, or not what the settings ask for.
    """
    doctor = answer.doctor
    if doctor is None:
        raise DevicePackageMissing(
            name,
            f"the Python {answer.python} there lacks the device package, or has an old one ({answer.problem}). "
            f"Install it: {install_command(device)}",
        )
    findings = {one.topic: one for one in doctor.findings}
    lacking = [findings[topic] for topic in _NEEDED if topic in findings and findings[topic].state != _FOUND]
    if lacking:
        raise DevicePackageMissing(
            name, f"the Python there cannot run a model: {_told(lacking)}. Install it: {install_command(device)}"
        )
    wanted, there = engine_of(device), doctor.engine
    is_there = there is not None if wanted == "auto" else there == wanted
    if wanted == "simulator":
        is_there = _is_found(findings, "simulator")
    if not is_there:
        topics = ("simulator",) if wanted == "simulator" else ("driver", "libsophon", "sail", "devices")
        missing = _told([findings[topic] for topic in topics if topic in findings and not _is_found(findings, topic)])
        raise DeviceEngineMissing(name, f"the engine {wanted!r} is not there: {missing or 'doctor does not say why'}.")
    chips = [one.value for topic, one in findings.items() if topic.startswith("device ")]
    number = 0 if isinstance(device, SimulatorDevice) else device.tpu
    chip = chips[number] if wanted != "simulator" and number < len(chips) and chips[number] in CHIPS else None
    return Machine(python=answer.python, machine=answer.machine, chip=chip)


def checked_report(
    name: str,
    answer: Ran,
    release: ReleaseRecord,
    chosen: VariantRecord,
    images: ImageSet,
    log_path: Path,
    preprocess: str = HOST,
) -> ValidationReport:
    """Read the report of a run, and make sure that it is about what was sent.

    Args:
        name: The device's name.
        answer: The agent's: exit status and the report's text.
        release: The release.
        chosen: The model that was to be run.
        images: The images that it was to be run on.
        log_path: What the run printed.
        preprocess: What was to prepare the images.

    Returns:
        The report.

    Raises:
        DeviceRunFailed: There is none.
        ReportRefused: It is about another model or other images, or is incomplete.
    """
    report = _read(name, answer, log_path)
    if report.unreadable:
        count, first = len(report.unreadable), report.unreadable[0]
        raise ReportRefused(
            name, f"{count} images could not be read there, such as {first}. Numbers without them mean nothing."
        )
    sent = dataset_digest(_annotations(images), [(image.name, image.blob.digest) for image in images.images])
    setting = report.setting
    pairs = {
        "model": (setting.model_digest, chosen.blob.digest),
        "variant": (setting.variant, chosen.variant.path),
        "chip": (setting.chip, chosen.variant.chip),
        "preprocessing": (setting.preprocess, preprocess),
        "release": (f"{setting.release} {setting.version}", f"{release.name} {release.version}"),
        "data set": (report.protocol.dataset_digest, sent),
    }
    if release.protocol is not None:
        pairs["protocol"] = (_limits(report.protocol), _limits(release.protocol))
    for what, (got, wanted) in pairs.items():
        if got != wanted:
            raise ReportRefused(
                name,
                f"its report is about another {what}: {got} instead of {wanted}. Nothing was attached to the release. "
                "Its device package is of another version, or somebody else uses its folder.",
            )
    return report


def evidence_from(report: ValidationReport, release: str, device: str, created: str) -> Evidence:
    """Make evidence of a report.

    Args:
        report: The report.
        release: Digest of the release's index.
        device: The device's name.
        created: When, RFC 3339.
    """
    accuracy = None if report.ap is None else Accuracy(ap=report.ap, ap50=report.ap50 or 0.0)
    setting = report.setting
    return Evidence(
        release=release,
        device=device,
        created=created,
        engine=setting.engine,
        chip=setting.chip,
        variant=setting.variant,
        model_digest=setting.model_digest,
        versions=setting.versions,
        protocol=report.protocol,
        accuracy=accuracy,
        comparable=report.comparable,
        comparison=report.comparison,
        report=report.model_dump(mode="json"),
    )


def _is_found(findings: Mapping[str, Finding], topic: str) -> bool:
    return topic in findings and findings[topic].state == _FOUND


def _read(name: str, answer: Ran, log_path: Path) -> ValidationReport:
    text = answer.report
    if text is None:
        lines = log_path.read_text("utf-8", "replace").strip().splitlines()
        said = next((line for line in reversed(lines) if line.startswith("error: ")), "".join(lines[-1:]))
        reason = said.removeprefix("error: ")[:_MAX_REASON] or "it printed nothing"
        raise DeviceRunFailed(name, f"the validation ended with status {answer.status}: {reason}.", log_path)
    try:
        return ValidationReport.model_validate_json(text)
    except ValidationError as error:
        raise ReportRefused(
            name, f"its report cannot be read ({problems(error)}): its device package is of another version."
        ) from error


def _annotations(images: ImageSet) -> str:
    return "" if images.annotations is None else images.annotations.digest


def _limits(protocol: Protocol) -> str:
    return f"{protocol.name}, score floor {protocol.score_floor:g}, top {protocol.top_k}, {protocol.metric}"


def _told(findings: list[Finding]) -> str:
    return "; ".join(" -> ".join(filter(None, (f"{one.topic}: {one.value}", one.advice))) for one in findings)
