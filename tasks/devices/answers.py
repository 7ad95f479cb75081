"""What the agent on a device answers, as records: whatever else comes back is told as the device's fault."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from artifacts.schema import problems
from tasks.errors import DeviceError

# The agent cuts a report at 16 MiB, which JSON in JSON can make several times as long.
MAX_ANSWER_BYTES = 128 << 20

Answer = TypeVar("Answer")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Finding(_Part):
    """One thing that `python -m inference doctor` looked for."""

    topic: str
    state: str
    value: str = ""
    advice: str = ""


class Doctor(_Part):
    """All that it found; `engine` is what would run a model, None where nothing can."""

    findings: tuple[Finding, ...]
    engine: str | None


class Looked(_Part):
    """The answer to `look`: `doctor` is None where the package cannot say it, and `problem` says why."""

    python: str
    machine: str
    doctor: Doctor | None
    problem: str = ""


class Ran(_Part):
    """The answer to `run`: exit status, and the report's text where there is one."""

    status: int
    report: str | None


def answered(name: str, text: bytes, kind: type[Answer]) -> Answer:
    """Read an answer.

    Args:
        name: The device's name.
        text: What came back.
        kind: What it should be.

    Raises:
        DeviceError: It is something else.
    """
    if len(text) > MAX_ANSWER_BYTES:
        raise DeviceError(name, f"it sent more than the {MAX_ANSWER_BYTES} bytes that an answer may have.")
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        value: Answer = adapter.validate_json(text)
    except ValidationError as error:
        raise DeviceError(
            name,
            f"it answered {text[:80].decode('utf-8', 'replace')!r}, which makes no sense ({problems(error)}). If "
            "something there prints when somebody logs in, such as ~/.bashrc, let it do so only for terminals.",
        ) from error
    return value
