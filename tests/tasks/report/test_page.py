"""The report as one HTML file."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tasks.ladder.text import DEMONSTRATION
from tasks.publish import Results
from tasks.report.page import Drawn, draw_report
from tasks.report.text import STAND_IN, about
from tasks.report.view import commands
from tasks.workspace import Workspace
from tests.tasks.pictured import HOSTILE, HOSTILE_CLASS, pictured
from tests.tasks.results import settings_in, workspace_in


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and the text outside of styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def drawn(results: Results, folder: Path, *overrides: str) -> Drawn:
    build = about(settings_in(folder, *overrides), "tpu-mlir 1.30.2")
    return draw_report.fn(results, build, commands(results), workspace_in(folder))


def html(results: Results, folder: Path, *overrides: str) -> str:
    page = drawn(results, folder, *overrides).page
    return workspace_in(folder).content.verified(page).read_text()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return workspace_in(tmp_path)


def test_the_page_refers_to_nothing_outside_and_runs_nothing(workspace: Workspace, tmp_path: Path) -> None:
    text = html(pictured(workspace), tmp_path)
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.elements}
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in {"src", "href", "xlink:href", "action", "data", "srcset"} & set(attributes):
            assert (attributes[name] or "").startswith(("data:image/", "#"))
    assert not re.search(r"url\((?!#)|@import", text)
    policy = [one["content"] for one in page.named("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_names_that_look_like_markup_are_shown_as_they_are(workspace: Workspace, tmp_path: Path) -> None:
    text = html(pictured(workspace), tmp_path)
    page = Page(text)
    assert HOSTILE_CLASS in page.text and HOSTILE in page.text
    assert HOSTILE_CLASS not in text and HOSTILE not in text
    assert len(page.named("img")) == 3 and not page.named("b")


def test_every_picture_has_words_for_who_does_not_see_it(workspace: Workspace, tmp_path: Path) -> None:
    page = Page(html(pictured(workspace), tmp_path))
    worst, truth, sheet = page.named("img")
    assert (
        worst["alt"] == f"{HOSTILE}. FP32: 1 found, 0 missed, 0 invented. BM1688 int8: 0 found, 1 missed, 0 invented."
    )
    assert truth["alt"] == "The image with its annotated boxes."
    assert sheet["alt"] == "Contact sheet of 1 images."
    charts = [attributes for tag, attributes in page.elements if attributes.get("role") == "img"]
    assert [str(one["aria-label"])[:18] for one in charts] == [
        "BM1688 fp32 0.6000",
        "BM1688 fp32 b1 0.8",
        "PyTorch: AP lost 0",
    ]
    assert page.named("html") == [{"lang": "en"}] and len(page.named("caption")) == 6


def test_what_did_not_pass_is_told_before_anything_else(workspace: Workspace, tmp_path: Path) -> None:
    text = Page(html(pictured(workspace, failing=("too <b>bad", "and worse")), tmp_path)).text
    assert "Not published: 1 of 2 variants did not pass the gate." in text
    assert "BM1688/centernet_int8_1b.bmodel: too <b>bad; and worse" in text
    assert text.index("Not published") < text.index("Variants")
    assert "Not published" not in Page(html(pictured(workspace), tmp_path)).text


def test_notices_stand_on_the_page_as_in_the_other_report(workspace: Workspace, tmp_path: Path) -> None:
    stand_in = html(pictured(workspace, ap=None), tmp_path, "evaluation.meaningful=false", "demonstration=false")
    assert STAND_IN in stand_in and DEMONSTRATION not in stand_in
    assert DEMONSTRATION in html(pictured(workspace), tmp_path)


def test_of_stand_in_weights_nothing_about_accuracy_is_drawn(workspace: Workspace, tmp_path: Path) -> None:
    result = drawn(pictured(workspace, ap=None), tmp_path, "evaluation.meaningful=false")
    assert [picture.name for picture in result.charts] == ["latency", "ladder"] and result.worst == ()
    text = Page(workspace.content.verified(result.page).read_text()).text
    assert "Accuracy by" not in text and "Images that lose most" not in text


def test_a_class_that_loses_much_is_marked(workspace: Workspace, tmp_path: Path) -> None:
    text = html(pictured(workspace), tmp_path)
    assert re.findall(r'<td class="marked">([0-9.]+)', text) == ["0.5000", "0.5000"]  # small objects, and the one class


def test_the_images_that_lose_most_say_how_much_and_what_is_there(workspace: Workspace, tmp_path: Path) -> None:
    text = Page(html(pictured(workspace), tmp_path)).text
    assert f"BM1688 int8, {HOSTILE}: F1 1.00 in FP32, 0.00 in INT8, 1.00 lost" in text
    assert "Annotated boxes: 1" in text
    assert f"{HOSTILE_CLASS}: left 10, top 10, 50 x 40" in text
    for word in ("found: plain line", "missed: dashed line", "invented: double line"):
        assert word in text


def test_what_was_checked_of_the_calibration_is_on_the_page(workspace: Workspace, tmp_path: Path) -> None:
    text = html(pictured(workspace), tmp_path)
    assert '<td class="marked">warning' in text and "1 of 2 classes: &lt;b&gt;square|" in text


def test_weights_compiler_protocol_and_commands_are_named(workspace: Workspace, tmp_path: Path) -> None:
    found = pictured(workspace)
    text = Page(html(found, tmp_path)).text
    for fact in (found.checkpoint.blob.digest, "tpu-mlir 1.30.2", "protocol coco (score >= 0.001, best 100)"):
        assert fact in text
    assert text.count("model_deploy --chip bm1688") == 3  # the made-up evidence of two bmodels and the table


def test_equal_results_give_equal_bytes(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one = drawn(pictured(workspace), tmp_path)
    other = drawn(pictured(workspace_in(tmp_path / "other")), tmp_path / "other")
    assert one == other
    assert str(tmp_path) not in workspace.content.verified(one.page).read_text()


def test_without_int8_there_are_neither_worst_images_nor_a_sheet(workspace: Workspace, tmp_path: Path) -> None:
    found = pictured(workspace)
    only = found.model_copy(
        update={
            **{"calibration": None, "table": None, "measured": found.measured[:1]},
            **{name: getattr(found, name)[:1] for name in ("compiled", "simulated", "verdicts")},
        }
    )
    result = drawn(only, tmp_path)
    assert result.worst == () and result.sheet is None
    assert not Page(workspace.content.verified(result.page).read_text()).named("img")
