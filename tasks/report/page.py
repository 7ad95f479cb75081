"""The report as one HTML file without any reference to the outside, and the pictures that it is made of."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from artifacts.store import Blob
from inference.images import read_image
from tasks.coco import Dataset, parse_dataset
from tasks.publish import Results
from tasks.records import Measured, Record
from tasks.report import charts, gallery
from tasks.report import view as report_view
from tasks.report.charts import Chart
from tasks.report.jpeg import shrunk
from tasks.report.text import About, notices
from tasks.report.ways import WAYS_ABOUT, frontiers
from tasks.rungs import load_detections
from tasks.step import step
from tasks.workspace import Workspace
from tasks.worst_images import match

PAGE_TITLE = "report.html"
TEMPLATES = Path(__file__).with_name("templates")

SHEET_SIDE, SHEET_BYTES = 1900, 600_000
"""The contact sheet on the page; in full it lies beside it."""


class Picture(Record):
    """A picture of the report.

    Attributes:
        name: Short and without spaces.
        caption: What it shows.
        alt: What somebody who does not see it should know.
        image: PNG or JPEG.
        truth: Of an image that loses much: the same with its annotated boxes, JPEG.
        true_boxes: The same boxes as text.
    """

    name: str
    caption: str
    alt: str
    image: Blob
    truth: Blob | None = None
    true_boxes: tuple[str, ...] = ()


class Drawn(Record):
    """The report, drawn.

    Attributes:
        page: The HTML file.
        charts: As PNG, for where a page of its own cannot be shown.
        worst: What int8 finds in the images that lose most, beside what the reference finds.
        sheet: The contact sheet of the calibration images, None without int8 variants.
    """

    page: Blob
    charts: tuple[Picture, ...]
    worst: tuple[Picture, ...]
    sheet: Picture | None


@step(version=3, slot="report")
def draw_report(results: Results, build: About, commands: list[tuple[str, str]], workspace: Workspace) -> Drawn:
    """Draw the report.

    Args:
        results: What the build found out, judged.
        build: What else the report says.
        commands: The compiler's command lines; given apart, because of the results no key knows them.
        workspace: Where bytes are kept.

    Returns:
        The page and its pictures. Equal results give equal bytes with one version of the drawing libraries; no time is
        in them.
    """
    content = workspace.content
    drawn = dict(_charts(results))
    pictures = tuple(
        Picture(name=name, caption=caption, alt=alt, image=content.put_bytes(chart.png))
        for (name, caption, alt), chart in drawn.items()
    )
    worst, sheet = tuple(_worst(results, workspace)), _sheet(results, workspace)
    text = _template().render(
        build=build,
        notices=notices(build),
        reasons=report_view.reasons(results),
        facts=list(report_view.facts(results, build)),
        variants=report_view.variants(results),
        rungs=report_view.rungs(results),
        ways=report_view.ways(results),
        tensors=list(report_view.tensors(results)),
        about_ways=WAYS_ABOUT,
        heads=report_view.heads(results),
        sizes=report_view.sizes(results),
        classes=report_view.classes(results),
        checks=report_view.checks(results),
        notable=report_view.NOTABLE_LOSS,
        charts={name: (caption, alt, Markup(chart.svg)) for (name, caption, alt), chart in drawn.items()},
        worst=[(one, data_uri(one.image, workspace), one.truth and data_uri(one.truth, workspace)) for one in worst],
        legend=[(name, _css(colour), words) for name, colour, words in _LEGEND],
        sheet_picture=sheet and (sheet, data_uri(sheet.image, workspace)),
        commands=commands,
    )
    return Drawn(page=content.put_bytes(text.encode()), charts=pictures, worst=worst, sheet=sheet)


def data_uri(image: Blob, workspace: Workspace) -> str:
    """Return a picture, PNG or JPEG, as an address that holds it whole."""
    data = workspace.content.verified(image).read_bytes()
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


_LEGEND = (
    ("found", gallery.TRUE, "found: plain line, class and score"),
    ("missed", gallery.MISSED, "missed: dashed line at the annotated box"),
    ("invented", gallery.INVENTED, "invented: double line, nothing of this class is there"),
)

_Heading = tuple[str, str, str]


def _charts(results: Results) -> Iterator[tuple[_Heading, Chart]]:
    found, mark = report_view.accuracy_bars(results)
    if found:
        caption = (
            f"Average precision by chip and precision, in the compiler's interpreter ({report_view.ACCURACY_LABEL})."
        )
        alt = "; ".join(f"{row.name} {row.text}" for row in found)
        yield ("accuracy", caption, alt), charts.bars(found, report_view.ACCURACY_LABEL, mark=mark)
    timed = report_view.latency_bars(results)
    if timed:
        caption = "The compiler's own estimate of the time for one image, in brackets that of the whole batch."
        alt = "; ".join(f"{row.name} {row.text}" for row in timed)
        yield ("latency", caption, alt), charts.bars(timed, report_view.LATENCY_LABEL)
    caption = "The loss ladder: how far every rung is from the network that it was made from."
    rows = report_view.ladder_rows(results)
    alt = "; ".join(f"{row.name}: {_heard(row)}" for row in rows)
    yield ("ladder", caption, alt), charts.ladder(rows)
    for rung, points in frontiers(results):
        caption = (
            f"{rung.chip}: what the ways to make int8 give and cost; the line joins those that none is better than."
        )
        alt = "; ".join(f"{point.name} {point.ms:.2f} ms, AP {point.ap:.4f}" for point in points)
        heading = f"frontier-{rung.chip.lower()}", caption, alt
        yield heading, charts.frontier(points, report_view.LATENCY_LABEL, "AP")


def _heard(row: charts.LadderRow) -> str:
    lost = [] if row.lost is None else [f"AP lost {row.lost:.4f}"]
    return ", ".join([*lost, *(f"{head} {value:.0f} dB" for head, value in row.snr_db.items())]) or "the reference"


def _worst(results: Results, workspace: Workspace) -> Iterator[Picture]:
    annotations = results.evaluation.annotations
    if annotations is None or results.reference.ap is None:
        return
    dataset = parse_dataset(workspace.content.verified(annotations).read_bytes())
    groups: dict[tuple[str, tuple[str, ...]], list[Measured]] = {}
    for rung in results.measured:
        if rung.variant is not None and rung.variant.precision == "int8":
            groups.setdefault((rung.detections.digest, rung.worst), []).append(rung)
    for group in groups.values():
        yield from _pairs(group, dataset, results, workspace)


def _pairs(group: list[Measured], dataset: Dataset, results: Results, workspace: Workspace) -> Iterator[Picture]:
    content, title = workspace.content, report_view.common_name(group)
    before = load_detections(content, results.reference.detections)
    after = load_detections(content, group[0].detections)
    images = {image.name: image.blob for image in results.evaluation.images}
    identities = {image.file_name: image.id for image in dataset.images}
    for number, name in enumerate(group[0].worst, 1):
        truth = gallery.Truth(dataset.boxes[identities[name]], dataset.category_ids, dataset.class_names)
        sides = [gallery.Panel("FP32", before[name]), gallery.Panel(title, after[name])]
        scores = [match(truth.boxes, side.found, truth.category_ids) for side in sides]
        pixels = read_image(content.verified(images[name]))
        yield Picture(
            name=f"worst-{'-'.join(rung.rung.replace(' ', '-').lower() for rung in group)}-{number}",
            caption=f"{title}, {name}: F1 {scores[0].f1:.2f} in FP32, {scores[1].f1:.2f} in INT8, "
            f"{scores[0].f1 - scores[1].f1:.2f} lost",
            alt=f"{name}. FP32: {gallery.counts(scores[0])}. {title}: {gallery.counts(scores[1])}.",
            image=content.put_bytes(gallery.side_by_side(pixels, truth, sides)),
            truth=content.put_bytes(gallery.annotated(pixels, truth)),
            true_boxes=gallery.listed(truth),
        )


def _sheet(results: Results, workspace: Workspace) -> Picture | None:
    if results.calibration is None:
        return None
    data = workspace.content.verified(results.calibration.contact_sheet).read_bytes()
    count = len(results.calibration.images)
    return Picture(
        name="calibration",
        caption=f"The {count} images of the calibration.",
        alt=f"Contact sheet of {count} images.",
        image=workspace.content.put_bytes(shrunk(data, SHEET_SIDE, SHEET_BYTES)),
    )


def _css(colour: gallery.Colour) -> str:
    blue, green, red = colour
    return f"#{red:02x}{green:02x}{blue:02x}"


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")
