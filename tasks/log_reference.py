"""Where the log of a compiler's command lies: its name in the store, or the file that a failure left."""

from __future__ import annotations

from pathlib import Path

from artifacts.digest import digest_file
from tasks.records import Evidence

_SHOWN = len("sha256:") + 12


def kept_log(result: object) -> str:
    """Name the log of the command that made a result.

    Args:
        result: A record.

    Returns:
        Such as `, log sha256:0123456789ab` (where its digest begins, by which the store has it); nothing where no
        command made it.
    """
    evidence = getattr(result, "evidence", None)
    return f", log {evidence.log.digest[:_SHOWN]}" if isinstance(evidence, Evidence) else ""


def left_log(error: BaseException) -> str:
    """Name the log that a failed command left.

    Args:
        error: What was raised.

    Returns:
        Path and digest, as `, log PATH (sha256:...)`; nothing where it left none.
    """
    path = getattr(error, "log_path", None)
    if not isinstance(path, Path) or not path.is_file():
        return ""
    return f", log {path} ({digest_file(path)})"
