"""What is tried when int8 loses too much, and what is written down of it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from artifacts.measurements import Loss
from settings.gate import GateSettings
from settings.quantize import ESCALATION, Attempt, QuantizeSettings, Recipe
from tasks.attempts import NO_LABEL, Label, Screened, Sensitivity, TensorShare, Tried
from tasks.escalation import Way, best_of, chosen, looked_at, nearer, refused_try, way, worth_measuring
from tasks.gate import Standing, hopeless
from tasks.records import HeadDistance, Lowered
from tests.tasks.results import INT8, evidence, heads, quantized, workspace_in

FIRST = Way("kl", Recipe(float_layers=("first-convolution",)), NO_LABEL)


def share(worth: float, *layers: str) -> TensorShare:
    removed = {"heatmap": worth, "size": worth, "offset": worth}
    return TensorShare(tensor=layers[0], kind="top.Conv", layers=layers, removed=removed)


SENSITIVITY = Sensitivity(variant=INT8, images=4, tensors=(share(0.4, "a", "b"), share(0.2, "b", "c"), share(0, "d")))


def distances(snr_db: float) -> dict[str, HeadDistance]:
    return {head: far.model_copy(update={"snr_db": snr_db}) for head, far in heads().items()}


@pytest.mark.parametrize(
    ("attempt", "method", "rules", "named", "text"),
    [
        (Attempt(method="max"), "max", ("first-convolution",), (), "method max"),
        (Attempt(float_layers=("heads",)), "kl", ("first-convolution", "heads"), (), "heads in float"),
        (
            Attempt(most_sensitive=2),
            "kl",
            ("first-convolution",),
            ("a", "b", "c"),
            "3 sensitive layers in float",
        ),
        (
            Attempt(method="mse", float_layers=("first-convolution", "up-sampling"), most_sensitive=9),
            "mse",
            ("first-convolution", "up-sampling"),
            ("a", "b", "c", "d"),
            "method mse, up-sampling in float, 4 sensitive layers in float",
        ),
    ],
)
def test_an_attempt_lies_over_what_the_settings_say(
    attempt: Attempt, method: str, rules: tuple[str, ...], named: tuple[str, ...], text: str
) -> None:
    made = way(attempt, FIRST, FIRST, SENSITIVITY)
    assert (made.method, made.recipe.float_layers, made.recipe.named) == (method, rules, named)
    assert made.label == Label(text=text) and made.recipe.float_tail


def test_an_attempt_lies_over_the_best_way_so_far() -> None:
    best = Way("max", Recipe(float_layers=("first-convolution",), named=("a",)), Label(text="method max"))
    made = way(Attempt(float_layers=("heads",)), best, FIRST, None)
    assert (made.method, made.recipe.named) == ("max", ("a",))
    assert made.label.text == "method max, heads in float, 1 sensitive layers in float"
    assert way(Attempt(method="mse"), best, FIRST, None).method == "mse"


def a_try(drop: float | None, snr_db: float, method: str = "kl") -> Tried:
    bounds = None if drop is None else Loss(drop=drop, low=drop, high=drop, images=9)
    far = {} if snr_db < 0 else distances(snr_db)
    fields: dict[str, Any] = {"variant": INT8, "label": NO_LABEL, "recipe": Recipe(), "float_layers": ()}
    return Tried(method=method, distances=far, bounds=bounds, **fields)


def test_the_best_way_is_the_one_that_loses_least_and_was_measured() -> None:
    tried = (a_try(0.05, 20, "kl"), a_try(None, 50, "mse"), a_try(0.01, 25, "max"), a_try(0.03, 30, "percentile9999"))
    assert best_of(tried).method == "max"


def test_without_ap_the_best_way_is_the_nearest() -> None:
    assert best_of((a_try(None, 20, "kl"), a_try(None, -1, "mse"), a_try(None, 25, "max"))).method == "max"
    assert best_of((a_try(None, -1, "kl"),)).method == "kl"


def test_the_most_sensitive_tensors_cannot_be_kept_before_they_are_known() -> None:
    with pytest.raises(ValueError, match="not known"):
        way(Attempt(most_sensitive=2), FIRST, FIRST, None)


def test_an_attempt_that_changes_nothing_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(ValidationError, match="changes nothing"):
        Attempt()
    assert QuantizeSettings().escalation == ESCALATION and len(set(ESCALATION)) == 7


def test_what_is_tried_is_no_fact_about_what_is_built() -> None:
    assert QuantizeSettings(escalation=()).recipe == QuantizeSettings().recipe == Recipe()


@pytest.mark.parametrize(("after", "expected"), [(20.5, True), (20.4, False), (10.0, False)])
def test_an_attempt_is_measured_when_the_heads_come_nearer(after: float, expected: bool) -> None:
    assert nearer(distances(20.0), distances(after)) is expected


def test_one_head_that_comes_nearer_is_not_enough_where_another_goes_away() -> None:
    after = distances(20.0) | {"size": distances(40.0)["size"], "offset": distances(0.0)["offset"]}
    assert not nearer(distances(20.0), after)


def test_other_ranges_are_measured_however_far_they_are() -> None:
    best = a_try(0.05, 20, "kl")
    other, same = Way("max", Recipe(), NO_LABEL), Way("kl", Recipe(float_layers=("heads",)), NO_LABEL)
    assert worth_measuring(other, best, distances(10.0)) and not worth_measuring(same, best, distances(20.4))
    assert worth_measuring(same, best, distances(20.5)) and not worth_measuring(other, best, {})


def test_an_output_that_is_not_finite_comes_no_nearer() -> None:
    assert not nearer(distances(20.0), {})


def lowered(folder: Any) -> Lowered:
    workspace = workspace_in(folder)
    blob = workspace.content.put_bytes(b"lowered")
    made = quantized(True)
    return Lowered(
        variant=INT8, mlir=blob, weights=blob, weights_name="w", quantized=made, evidence=evidence(workspace)
    )


def test_what_came_no_nearer_is_written_down_with_its_reason_and_without_ap(tmp_path: Any) -> None:
    found = looked_at(INT8, FIRST, lowered(tmp_path), Screened(distances=distances(1.0)), GateSettings())
    assert found.ap is None and found.float_layers == ("16", "62") and "come no nearer" in found.reasons[-1]
    found = looked_at(INT8, FIRST, lowered(tmp_path), Screened(distances={}), GateSettings())
    assert found.reasons[0] == "its output is not finite"


def test_the_first_that_the_gate_takes_is_chosen() -> None:
    bad = refused_try(INT8, FIRST, "no room")
    good = Tried.model_validate({**bad.model_dump(), "reasons": ()})
    assert bad.reasons == ("the compiler does not take it: no room",)
    assert [one.chosen for one in chosen((bad, good, good))] == [False, True, False]
    assert [one.chosen for one in chosen((bad, bad))] == [False, False]


@pytest.mark.parametrize(
    ("reasons", "undecided", "drop", "expected"),
    [
        ((), False, 0.0, False),
        (("AP falls",), False, 0.1, True),
        (("more images",), True, 0.004, False),  # more images may let it pass
        (("more images",), True, 0.006, True),
        (("cosine", "more images"), True, 0.0, True),
    ],
)
def test_another_way_is_called_for_where_more_images_would_not_help(
    reasons: tuple[str, ...], undecided: bool, drop: float, expected: bool
) -> None:
    loss = Loss(drop=drop, low=drop - 0.01, high=drop + 0.01, images=64)
    assert hopeless(Standing(reasons, (), undecided), loss, GateSettings(max_ap_drop=0.005)) is expected
