"""What a build prints when it is done."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from artifacts.release import ReleaseRecord, VariantRecord
from settings.model import Settings
from tasks import journal
from tasks.ladder.text import DEMONSTRATION
from tasks.publish import PublishedRelease
from tasks.workspace import Workspace


def print_summary(published: PublishedRelease, settings: Settings) -> None:
    """Print the table of variants, where the release lies and how to go on.

    Args:
        published: The release.
        settings: What the build was told.
    """
    folder = Path(settings.release.folder)
    record = ReleaseRecord.from_json((folder / "release.json").read_bytes())
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(variant_table(record))
    if record.demonstration:
        console.print(f"[bold]{DEMONSTRATION}[/bold]")
    news = "published" if published.changed else "was published already, nothing is new"
    # This very Python: another one lacks the packages.
    python = sys.executable
    server = f"  server    {published.pushed}\n" if published.pushed else ""
    console.print(
        f"\nrelease {record.version} {news}\n"
        f"  digest    {published.digest}\n"
        f"  registry  oci:{published.repository}:{published.version}\n"
        f"{server}"
        f"  folder    {folder}\n"
        f"  report    {folder.parent / 'report.html'}\n\n"
        f"run it      {python} -m inference detect --model {folder} --input IMAGE.jpg "
        "--output build/detections\n"
        f"operate it  {python} -m flows.serve start   (pages, forms, a schedule)\n",
        highlight=False,
        soft_wrap=True,
    )


def variant_table(record: ReleaseRecord) -> Table:
    """Make the table of variants of a release."""
    table = Table(title=f"{record.name} {record.version}")
    for heading in ("file", "MB", "device MB", "est. ms", "cosine heatmap/size/offset", "AP", "simulator", "gate"):
        table.add_column(heading, justify="left" if heading in ("file", "simulator", "gate") else "right", no_wrap=True)
    for variant in record.variants:
        table.add_row(*_row(variant))
    return table


def print_explanation(workspace: Workspace, run: str) -> None:
    """Print for each step of a run whether it hit, and which input changed where it did not.

    Args:
        workspace: Where the journals are.
        run: The flow run's id.
    """
    print(journal.explain(journal.read(workspace, run)))


def _row(variant: VariantRecord) -> tuple[str, ...]:
    simulator = "not run"
    if variant.simulator is not None:
        simulator = "bit-identical" if variant.simulator.identical else f"within {variant.simulator.max_abs:.2g}"
    return (
        variant.variant.path,
        f"{variant.blob.size / 1e6:.2f}",
        f"{variant.device_memory / 1e6:.2f}",
        "-" if variant.estimated_ms is None else f"{variant.estimated_ms:.3f}",
        " / ".join("-" if far.cosine is None else f"{far.cosine:.4f}" for far in variant.distances),
        "-" if variant.accuracy is None else f"{variant.accuracy.ap:.4f}",
        simulator,
        "passed" if variant.gate and variant.gate.passed else "FAILED",
    )
