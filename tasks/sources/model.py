"""What is asked for, how, and what came: the records of a download."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tasks.sources.address import FileAddress, HttpAddress, is_safe_relative, parse_mirror

_DIGEST = re.compile(r"(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})")

# Addresses may carry secrets, so a refused record does not repeat its input.
_RECORD = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Source(BaseModel):
    """Bytes that are known by name, and by digest wherever possible, and the places that have them.

    Attributes:
        name: What they are called in messages. Where a mirror is a folder, the file's name in it.
        recorded_as: What they are called in the lock file, where that is not their name.
        mirrors: Where they can be had, best first, in the grammar of `tasks.sources.address`.
        size: Their number of bytes, where known.
        digest: `sha256:`, `sha384:` or `sha512:` and lower-case hexadecimal digits, where known.
    """

    model_config = _RECORD

    name: str = Field(min_length=1)
    recorded_as: str | None = None
    mirrors: tuple[str, ...] = Field(min_length=1, repr=False)
    size: int | None = Field(default=None, ge=0)
    digest: str | None = None

    @property
    def entry(self) -> str:
        """Name of the entry in the lock file."""
        return self.recorded_as or self.name

    @field_validator("digest")
    @classmethod
    def _digest_grammar(cls, digest: str | None) -> str | None:
        if digest is not None and _DIGEST.fullmatch(digest) is None:
            raise ValueError(
                f"{digest[:160]!r} is not a digest: it is sha256:, sha384: or sha512: and 64, 96 or 128 lower-case "
                "hexadecimal digits"
            )
        return digest

    @model_validator(mode="after")
    def _mirrors_grammar(self) -> Self:
        for mirror in self.mirrors:
            address = parse_mirror(mirror)
            joined = isinstance(address, FileAddress) or (isinstance(address, HttpAddress) and address.is_folder)
            if joined and not is_safe_relative(self.name):
                raise ValueError(f"{self.name!r} cannot be looked for in a folder: it is no relative path below it")
        return self


class Item(BaseModel):
    """One file of a list: what, and where it goes."""

    model_config = _RECORD

    source: Source
    target: Path


class Fetched(BaseModel):
    """Bytes that are in place and were checked.

    Attributes:
        path: Where they are.
        digest: Their `sha256:` digest, whatever algorithm the source was known by.
        size: Their number of bytes.
        mirror: The mirror that gave them, without secrets; None when they were there already.
    """

    model_config = _RECORD

    path: Path
    digest: str
    size: int
    mirror: str | None


class Options(BaseModel):
    """How to download. All times are in seconds, all sizes in bytes.

    Attributes:
        record_first_use: Believe bytes without a known digest once, and record what they are in `lock_file`.
        lock_file: JSON file of recorded digests; what it holds is enforced.
        base: Folder at which relative paths among the mirrors start.
        attempts: Tries of one mirror in a row that bring nothing new, before the next mirror is asked.
        backoff_s: Wait after the first such try; it doubles from one to the next.
        backoff_cap_s: Longest such wait.
        retry_after_cap_s: Longest wait that a server may ask for.
        connect_timeout_s: Longest time for a connection to be made.
        read_timeout_s: Longest silence of a server.
        min_rate: Bytes per second below which a connection is given up.
        rate_window_s: Time over which that rate is measured.
        deadline_s: Longest time for one call, all mirrors and files together.
        reserve: Bytes of disk that must stay free.
        max_bytes: Most bytes taken from a source whose size is not known.
        max_redirects: Redirects followed for one request.
        dfss_timeout_s: Longest time for one run of the dfss tool.
        progress: Show a progress bar; None shows one where standard error is a terminal.
    """

    model_config = _RECORD

    record_first_use: bool = False
    lock_file: Path | None = None
    base: Path = Path()
    attempts: int = Field(default=5, ge=1)
    backoff_s: float = Field(default=1.0, ge=0)
    backoff_cap_s: float = Field(default=60.0, ge=0)
    retry_after_cap_s: float = Field(default=120.0, ge=0)
    connect_timeout_s: float = Field(default=10.0, gt=0)
    read_timeout_s: float = Field(default=30.0, gt=0)
    min_rate: int = Field(default=1024, ge=0)
    rate_window_s: float = Field(default=30.0, gt=0)
    deadline_s: float = Field(default=2 * 3600.0, gt=0)
    reserve: int = Field(default=16 << 20, ge=0)
    max_bytes: int = Field(default=8 << 30, gt=0)
    max_redirects: int = Field(default=5, ge=0)
    dfss_timeout_s: float = Field(default=1800.0, gt=0)
    progress: bool | None = None

    @model_validator(mode="after")
    def _recording_needs_a_place(self) -> Self:
        if self.record_first_use and self.lock_file is None:
            raise ValueError("record_first_use needs a lock_file to record in")
        return self


class Expected(BaseModel):
    """What the bytes must be: from the source itself, or from the lock file.

    Attributes:
        name: The source's name.
        size: Number of bytes; None when nobody said.
        digest: With its algorithm; None when it is to be recorded on first use.
        said_by: Who says so, for messages.
    """

    model_config = _RECORD

    name: str
    size: int | None
    digest: str | None
    said_by: str

    @property
    def algorithm(self) -> str:
        """The digest's algorithm, as hashlib calls it."""
        return "sha256" if self.digest is None else self.digest.partition(":")[0]


class Hashers:
    """The digests of a growing run of bytes: sha256, our name for them, and the one that they are known by."""

    def __init__(self, algorithm: str) -> None:
        self._hashers = {name: hashlib.new(name) for name in {"sha256", algorithm}}

    def update(self, chunk: bytes | memoryview) -> None:
        """Add bytes at the end."""
        for hasher in self._hashers.values():
            hasher.update(chunk)

    def digest(self, algorithm: str = "sha256") -> str:
        """Return `algorithm:hex` of all bytes so far."""
        return f"{algorithm}:{self._hashers[algorithm].hexdigest()}"
