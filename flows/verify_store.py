"""Look whether all that builds left is still what they wrote: python -m flows.verify_store [--json] [--list]"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence

from artifacts.errors import ArtifactError
from artifacts.standard_output import ended
from flows import terminal
from flows.command import DONE, FAILED, WRONG_USAGE, add_settings, settings_of
from flows.verifying import Verified, verify
from settings.model import Settings
from tasks.housekeeping.plan import size_of
from tasks.soundness.model import Remedy

_SHOWN = 20
_EVERY_S = 0.5


def run_verify(argv: Sequence[str]) -> int:
    """Run the verification as a command.

    Args:
        argv: Arguments without the program's name.

    Returns:
        0 sound, 1 something is not as it should be or could not be looked at, 2 wrong usage.
    """
    options = _parser().parse_args(argv)
    settings = settings_of(options)
    if settings is None:
        return WRONG_USAGE
    terminal.quiet_prefect()
    with terminal.lines():
        try:
            return _verify(settings, options)
        except (ArtifactError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return FAILED


def _verify(settings: Settings, options: argparse.Namespace) -> int:
    found = verify(settings, _progress())
    print(json.dumps(found.as_json(), indent=1) if options.json else told(found, every=options.list))
    return FAILED if found.troubles else DONE


def told(found: Verified, *, every: bool = False) -> str:
    """Say what was found, what needs somebody first.

    Args:
        found: What was found.
        every: Whether each single trouble is listed.

    Returns:
        Lines for a terminal.
    """
    lines = [f"{part.looked_at:>8}  {part.name}" for part in found.parts if part.looked_at]
    rate = f", {found.rate / 1e6:.0f} MB/s" if found.seconds > 0 else ""
    lines.append(f"{size_of(found.size)} hashed in {found.seconds:.1f} s{rate}")
    for remedy in (Remedy.YOU, Remedy.ITSELF, Remedy.NOBODY):
        group = [one for one in found.troubles if one.remedy is remedy]
        shown = group if every or remedy is Remedy.YOU else group[:_SHOWN]
        if group:
            lines.append(f"\n{remedy.value}: {len(group)}")
        for one in shown:
            lines.append(f"  {one.what}: {one.path}\n    {one.why}\n    -> {one.advice}")
        if len(shown) < len(group):
            lines.append(f"  and {len(group) - len(shown)} more; --list names each")
    lines += [f"note: {note}" for part in found.parts for note in part.notes]
    if not found.troubles:
        lines.append("everything is sound")
    return "\n".join(lines)


def _progress() -> Callable[[int], None]:
    """Show on a terminal how much was hashed."""
    last = 0.0

    def show(size: int) -> None:
        nonlocal last
        now = time.monotonic()
        if sys.stderr.isatty() and now - last > _EVERY_S:
            last = now
            print(f"\r{size_of(size)} hashed ", end="", file=sys.stderr, flush=True)

    return show


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.verify_store",
        description="Hash and read all that builds left: store, downloads, compilers, registry, the release as plain "
        "files. Changes nothing, and may run beside a build. Exit status: 0 sound, 1 problems found, 2 wrong usage.",
    )
    add_settings(parser)
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.add_argument("--list", action="store_true", help="name each thing, also where many heal by themselves")
    return parser


if __name__ == "__main__":
    sys.exit(ended(run_verify, sys.argv[1:]))
