"""Steps that do little, for the tests of what a step is; also run by processes of their own."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from artifacts.store import Blob
from tasks.records import Evidence, Record
from tasks.step import step
from tasks.toolchain.model import Toolchain
from tasks.workspace import Workspace


class Part(BaseModel):
    """A part of the settings."""

    model_config = ConfigDict(frozen=True)

    size: int = 1
    names: tuple[str, ...] = ("a", "b")


class Made(Record):
    """A result."""

    blob: Blob
    evidence: Evidence


class MayPass(Exception):
    pass


COMPILER = Toolchain(name="tpu-mlir", version="1.30.2", fingerprint="sha256:aa", root="/one", python="/one/bin/python")


def calls(workspace: Workspace) -> list[str]:
    """The texts for which `make` did its work, in order."""
    path = Path(workspace.store) / "calls"
    return path.read_text().split() if path.exists() else []


def note(workspace: Workspace, text: str) -> None:
    Path(workspace.store).mkdir(parents=True, exist_ok=True)
    with (Path(workspace.store) / "calls").open("a") as stream:
        stream.write(f"{text}\n")


def evidence_of(workspace: Workspace) -> Evidence:
    return Evidence(argv=("tool",), log=workspace.content.put_bytes(b"log"), seconds=time.time(), tool="tool 1")


@step(version=1, slot="make {name}")
def make(name: str, text: str, part: Part, toolchain: Toolchain, workspace: Workspace) -> Made:
    note(workspace, text)
    return Made(blob=workspace.content.put_bytes(text.encode()), evidence=evidence_of(workspace))


@step(version=1, slot="use")
def use(made: Made, workspace: Workspace) -> Made:
    note(workspace, "use")
    return Made(blob=workspace.content.put_bytes(b"used"), evidence=evidence_of(workspace))


@step(version=1, slot="open")
def take_anything(thing: Any, workspace: Workspace) -> Made:
    note(workspace, "taken")
    return Made(blob=workspace.content.put_bytes(b"taken"), evidence=evidence_of(workspace))


@step(version=1, slot="fail")
def fail(first: int, workspace: Workspace) -> Made:
    """Fails until it was called `first` times."""
    note(workspace, "fail")
    if len(calls(workspace)) < first:
        raise ValueError("not yet")
    return Made(blob=workspace.content.put_bytes(b"at last"), evidence=evidence_of(workspace))


@step(version=1, slot="pass", retries=2, retry_on=(MayPass,))
def may_pass(error: str, workspace: Workspace) -> Made:
    """Fails at its first call."""
    note(workspace, error)
    if len(calls(workspace)) < 2:
        raise {"passing": MayPass, "lasting": ValueError}[error]("once")
    return Made(blob=workspace.content.put_bytes(b"passed"), evidence=evidence_of(workspace))


@step(version=1, slot="wait")
def wait_for_file(name: str, workspace: Workspace) -> Made:
    """Works until a file of that name is there."""
    note(workspace, str(os.getpid()))
    while not (Path(workspace.store) / name).exists():
        time.sleep(0.02)
    return Made(blob=workspace.content.put_bytes(name.encode()), evidence=evidence_of(workspace))
