"""The charts of a report, as SVG for a page and as PNG for where a picture is wanted: same values, same bytes."""

from __future__ import annotations

import io
import re
import textwrap
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PRECISION_COLOURS = {"fp32": "#0072b2", "fp16": "#009e73", "int8": "#d55e00"}
_HEAD_STYLES = {"heatmap": ("#0072b2", "o"), "size": ("#d55e00", "s"), "offset": ("#a5488a", "^")}
_OTHER = ("#777777", "D")

MOST_DB = 140.0
"""Where the axis of the signal to noise ends: no noise at all is written down as 200."""

_INK = "#010101"  # stands for the page's own ink, which is light on a dark page
_FAINT = "#808080"
_WIDTH = 6.2
_ROW = 0.27
_WIDE = 3.0
_STYLE: Mapping[str, Any] = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "text.parse_math": False,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _FAINT,
    "axes.titlecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _FAINT,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "report",  # equal ids for equal charts
}

# What nothing refers to, and what would occur twice or reach beyond it on a page with several charts.
_NOISE = (
    re.compile(r" *<metadata>.*?</metadata>\n", re.S),
    re.compile(r" *<style[^>]*>.*?</style>\n", re.S),
    re.compile(r'(?<=<g) id="[^"]*"'),
    re.compile(r'(?<=<svg)( xmlns:xlink="[^"]*")? width="[^"]*" height="[^"]*"'),
)

_one_at_a_time = threading.Lock()


class Bar(NamedTuple):
    """One bar: its name, its length, its precision (for the colour), and what is written at its end."""

    name: str
    value: float
    precision: str
    text: str


class LadderRow(NamedTuple):
    """One rung: its name, the AP that it loses to the TorchScript, and signal to noise by head, decibel.

    The loss is None where AP means nothing.
    """

    name: str
    lost: float | None
    snr_db: Mapping[str, float]


class Point(NamedTuple):
    """One way to make a model: its name, its estimated time, its AP, its precision, and whether it was chosen."""

    name: str
    ms: float
    ap: float
    precision: str
    chosen: bool


class Chart(NamedTuple):
    """One chart in both its forms."""

    svg: str
    png: bytes


def bars(rows: Sequence[Bar], label: str, *, mark: tuple[float, str] | None = None) -> Chart:
    """Draw horizontal bars from zero, the first row on top.

    Args:
        rows: At least one.
        label: What the lengths are, with the unit.
        mark: A value that all are compared with, and its name.

    Returns:
        The chart.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        colours = [PRECISION_COLOURS.get(row.precision, _OTHER[0]) for row in rows]
        axes.barh(range(len(rows)), [row.value for row in rows], color=colours, height=0.68)
        longest = max([row.value for row in rows] + ([mark[0]] if mark else [])) or 1.0
        for position, row in enumerate(rows):
            axes.text(1.03 * longest, position, row.text, va="center", ha="left", fontsize=8)
        if mark is not None:
            axes.axvline(mark[0], color=_INK, linewidth=1, linestyle=(0, (4, 3)))
            axes.text(mark[0], -0.95, mark[1], ha="right", va="bottom", fontsize=8)
        axes.set_xlim(0, (1.04 + 0.013 * max(len(row.text) for row in rows)) * longest)
        axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= longest])
        axes.set_xlabel(label)
        _rows(axes, [row.name for row in rows])
        _colour_legend(figure, [row.precision for row in rows])

    return _drawn(draw, len(rows))


def ladder(rows: Sequence[LadderRow]) -> Chart:
    """Draw the loss ladder: what each rung loses of AP, and how far each head is from the reference.

    Args:
        rows: The rungs from the network downwards; at least one.

    Returns:
        The chart; without the half about AP where it means nothing.
    """
    losses = [row.lost for row in rows if row.lost is not None]

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, 2 if losses else 1, sharey=True, squeeze=False)[0]
        if losses:
            _losses(panels[0], rows)
        _noise(panels[-1], rows)
        _rows(panels[0], [row.name for row in rows])
        handles, labels = panels[-1].get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside upper right", ncols=len(handles), fontsize=8)

    return _drawn(draw, len(rows))


def frontier(points: Sequence[Point], across: str, up: str) -> Chart:
    """Draw AP against time, with a line through what nothing else is better than in both.

    Args:
        points: At least one.
        across: What the time is.
        up: What the accuracy is.

    Returns:
        The chart.
    """
    ordered = sorted(points, key=lambda point: (point.ms, -point.ap))
    best = [one for place, one in enumerate(ordered) if all(one.ap > before.ap for before in ordered[:place])]

    def draw(figure: Figure) -> None:
        axes, key = figure.subplots(1, 2, width_ratios=(3, 2))
        axes.plot([one.ms for one in best], [one.ap for one in best], color=_FAINT, linewidth=1, drawstyle="steps-post")
        names = []
        for number, point in enumerate(ordered, 1):
            colour = PRECISION_COLOURS.get(point.precision, _OTHER[0])
            size, marker = (70, "*") if point.chosen else (26, "o")
            axes.scatter([point.ms], [point.ap], s=size, color=colour, marker=marker, zorder=3)
            axes.annotate(str(number), (point.ms, point.ap), textcoords="offset points", xytext=(5, 4), fontsize=8)
            names.append(f"{number}  {textwrap.fill(point.name, 30)}{' (chosen)' if point.chosen else ''}")
        key.axis("off")
        key.text(0, 0.5, "\n".join(names), va="center", ha="left", fontsize=7.5, transform=key.transAxes)
        times = [point.ms for point in points]
        if max(times) > _WIDE * min(times):
            axes.set_xscale("log")
            for axis in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
                axis(lambda value, _: f"{value:g}")
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.grid(linewidth=0.6)
        axes.set_axisbelow(True)

    return _drawn(draw, 7)


def _losses(axes: Axes, rows: Sequence[LadderRow]) -> None:
    values = [row.lost or 0.0 for row in rows]
    span = max(*(abs(value) for value in values), 0.001)
    for position, row in enumerate(rows):
        if row.lost is None:
            continue
        precision = row.name.rsplit(" ", 1)[-1]
        axes.barh(position, row.lost, color=PRECISION_COLOURS.get(precision, _OTHER[0]), height=0.62)
        axes.text(
            max(row.lost, 0) + 0.03 * span,
            position,
            f"{row.lost:+.4f}" if row.lost else "0",
            va="center",
            ha="left",
            fontsize=8,
        )
    axes.axvline(0, color=_FAINT, linewidth=1)
    axes.set_xlim(min(0.0, *values) - 0.05 * span, max(0.0, *values) + 0.62 * span)
    axes.set_xlabel("AP lost to TorchScript")
    axes.locator_params(axis="x", nbins=4)


def _noise(axes: Axes, rows: Sequence[LadderRow]) -> None:
    heads = dict.fromkeys(head for row in rows for head in row.snr_db)
    for head in heads:
        colour, marker = _HEAD_STYLES.get(head, _OTHER)
        points = [(min(row.snr_db[head], MOST_DB), position) for position, row in enumerate(rows) if head in row.snr_db]
        across, down = zip(*points, strict=True)
        axes.scatter(across, down, s=26, color=colour, marker=marker, label=head, zorder=3, alpha=0.9)
    axes.set_xlim(0, MOST_DB * 1.04)
    axes.set_xlabel("signal to noise, dB")
    ticks = [*range(0, int(MOST_DB), 35), MOST_DB]
    axes.set_xticks(ticks, [*(f"{tick:g}" for tick in ticks[:-1]), f"≥{MOST_DB:g}"])


def _rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), list(names))
    axes.set_ylim(len(names) - 0.4, -0.95)
    axes.tick_params(axis="y", length=0)
    for panel in axes.figure.axes:
        panel.grid(axis="x", linewidth=0.6)
        panel.set_axisbelow(True)


def _colour_legend(figure: Figure, precisions: Iterable[str]) -> None:
    from matplotlib.patches import Patch

    used = [name for name in PRECISION_COLOURS if name in set(precisions)]
    handles = [Patch(color=PRECISION_COLOURS[name], label=name) for name in used]
    if len(used) > 1:
        figure.legend(handles=handles, loc="outside upper right", ncols=len(used), fontsize=8)


def _drawn(draw: Callable[[Figure], None], rows: int) -> Chart:
    # Imported late: it takes a second, and a build in which nothing changed draws nothing. A figure that is made
    # without pyplot needs no screen. The style is the process's: it is set for this block, from the library's own
    # defaults, so that no file of the user's changes the picture.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {**mpl.rcParamsDefault, **_STYLE}
    with _one_at_a_time, mpl.rc_context(style):
        figure = Figure(figsize=(_WIDTH, 0.95 + _ROW * rows), layout="constrained")
        draw(figure)
        return Chart(_svg(figure), _png(figure))


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor").replace("xlink:href=", "href=")
    for pattern in _NOISE:
        text = pattern.sub("", text)
    return text


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
