"""What a form turns into: settings, a request, or a refusal that names the field."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from artifacts.variant import CHIPS, IOS, PRECISIONS
from flows.forms import BuildForm, CleanForm, Form, ShippedProfile, ValidateForm, WatchForm, overrides_of, settings_of
from settings.errors import SettingsError
from settings.load import known_profiles, load_settings
from settings.sections import CalibrationSettings

FORMS = (BuildForm, WatchForm, ValidateForm, CleanForm)


def matrix_of(form: BuildForm) -> list[str]:
    return [variant.path for variant in settings_of(form, {}).variants()]


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_form_gives_the_profile_as_it_is(form: type[Form]) -> None:
    made = settings_of(form(), {"CENTERNET_WORKERS": "7"})
    assert made.workers == 7 and made == load_settings("sample", environ={"CENTERNET_WORKERS": "7"})


def test_every_field_of_a_build_reaches_its_setting_and_wins_over_the_environment() -> None:
    form = BuildForm(
        profile="coco",
        toolchain_version="1.28.1",
        calibration_count=50,
        calibration_method="mse",
        evaluation_limit=10,
        release_version="2026.11",
        push="registry.example.com/models/centernet",
        overrides={"simulator.images": 0, "gate.max_ap_drop": 0.5, "quantize.float_tail": False, "store.path": "/s"},
    )
    made = settings_of(form, {"CENTERNET_CALIBRATION__COUNT": "60", "CENTERNET_SIMULATOR__IMAGES": "1"})
    assert made.profile == "coco" and made.toolchain.version == "1.28.1" and made.simulator.images == 0
    assert (made.calibration.count, made.calibration.method, made.evaluation.limit) == (50, "mse", 10)
    assert (made.release.version, made.release.push) == ("2026.11", "registry.example.com/models/centernet")
    assert made.gate.max_ap_drop == 0.5 and not made.quantize.float_tail and made.store.path == Path("/s")


def test_a_version_that_looks_like_a_number_stays_text() -> None:
    form = BuildForm(release_version="1.30", overrides={"toolchain.version": "1.30"})
    made = settings_of(form, {})
    assert (made.release.version, made.toolchain.version) == ("1.30", "1.30")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("toolchain.python", "/srv/any/program"),
        ("toolchain.nntc.python", "/srv/any/program"),
        ("toolchain.nntc.image", "evil.example/image"),
        ("release.signing_key", "/home/publisher/key"),
        ("devices.evil.python", "/srv/any/program"),
        ("devices.evil.host", "evil.example"),
        ("devices.simulator.python", None),
    ],
)
def test_no_form_names_a_program_a_key_or_a_device(key: str, value: str | None) -> None:
    with pytest.raises(SettingsError, match=rf"{key}: names a program, a key or a device .*from the form"):
        settings_of(BuildForm(overrides={key: value}), {})
    assert settings_of(BuildForm(), {"CENTERNET_TOOLCHAIN__PYTHON": "/usr/bin/python3.10"}).toolchain.python is not None


def test_null_among_the_overrides_unsets() -> None:
    assert settings_of(BuildForm(profile="coco", overrides={"evaluation.limit": None}), {}).evaluation.limit is None


def test_a_field_wins_over_an_override_of_the_same_key() -> None:
    form = BuildForm(calibration_count=40, overrides={"calibration.count": 30})
    assert overrides_of(form) == ("calibration.count=40",)


@pytest.mark.parametrize(
    ("wish", "left"),
    [
        ({"chips": ["BM1684"]}, ["fp32_1b", "int8_1b", "int8_4b"]),
        ({"chips": ["BM1684"], "precisions": ["int8"]}, ["int8_1b", "int8_4b"]),
        ({"chips": ["BM1684"], "batches": [4]}, ["int8_4b"]),
    ],
)
def test_a_restricted_matrix_leaves_what_is_asked_for(wish: dict[str, Any], left: list[str]) -> None:
    assert matrix_of(BuildForm(**wish)) == [f"BM1684/centernet_{stem}.bmodel" for stem in left]


def test_raw_pixels_alone_can_be_asked_for() -> None:
    raw = ["BM1684X/centernet_int8_1b_raw.bmodel", "BM1688/centernet_int8_1b_raw.bmodel"]
    assert matrix_of(BuildForm(io=["raw"])) == raw
    assert not set(raw) & set(matrix_of(BuildForm(io=["float"])))


def test_an_empty_list_leaves_the_matrix_as_it_is() -> None:
    assert matrix_of(BuildForm(chips=[], batches=[])) == matrix_of(BuildForm())


def test_cores_of_a_row_stay_with_it() -> None:
    assert "BM1688/centernet_int8_4b_2core.bmodel" in matrix_of(BuildForm(precisions=["int8"], batches=[4]))


def test_a_restriction_that_leaves_nothing_is_told_as_such() -> None:
    with pytest.raises(SettingsError, match=r"matrix: nothing of profile sample is left of it \(from the form\)"):
        settings_of(BuildForm(chips=["BM1684"], precisions=["fp16"]), {})


def test_all_that_is_wrong_is_told_together() -> None:
    with pytest.raises(SettingsError) as caught:
        settings_of(BuildForm(overrides={"simulator.imagse": 0, "workers": "many"}), {})
    assert "did you mean simulator.images?" in str(caught.value) and "workers" in str(caught.value)


def test_a_profile_of_ones_own_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text('extends = "sample"\nworkers = 5\n')
    made = settings_of(WatchForm(profile="coco", profile_file=str(profile)), {})
    assert (made.profile, made.workers, made.demonstration) == ("mine.toml", 5, True)


def test_a_validation_takes_the_form_and_else_the_newest_release_of_the_profile() -> None:
    settings = load_settings("sample", environ={})
    assert ValidateForm().request(settings).reference == f"oci:{settings.release.repository}:latest"
    form = ValidateForm(reference="host:5000/models/centernet:1", device="board", chip="BM1688", every=True, limit=3)
    request = form.request(settings)
    assert (request.reference, request.device, request.chip) == ("host:5000/models/centernet:1", "board", "BM1688")
    assert request.every and request.limit == 3 and request.precision is None and request.evidence


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrong", [{"chpis": []}, {"profile": "imagenet"}, {"profile_file": "mine.yaml"}])
def test_what_no_form_has_is_refused_by_schema_and_code_alike(form: type[Form], wrong: dict[str, Any]) -> None:
    assert not Draft202012Validator(form.model_json_schema()).is_valid(wrong)
    with pytest.raises(ValidationError):
        form.model_validate(wrong)


@pytest.mark.parametrize(
    ("form", "wrong"),
    [
        (BuildForm, {"chips": ["BM1680"]}),
        (BuildForm, {"chips": None}),
        (BuildForm, {"push": 5}),
        (BuildForm, {"batches": [0]}),
        (BuildForm, {"batches": [65]}),
        (BuildForm, {"toolchain_version": "latest"}),
        (BuildForm, {"calibration_count": 0}),
        (BuildForm, {"evaluation_limit": -1}),
        (BuildForm, {"release_version": "-x"}),
        (BuildForm, {"overrides": {"store": {"path": "/x"}}}),
        (WatchForm, {"compiler": "newest"}),
        (ValidateForm, {"device": "Board 1"}),
        (ValidateForm, {"cores": 3}),
    ],
)
def test_a_value_out_of_range_is_refused_by_schema_and_code_alike(form: type[Form], wrong: dict[str, Any]) -> None:
    assert not Draft202012Validator(form.model_json_schema()).is_valid(wrong)
    with pytest.raises(ValidationError):
        form.model_validate(wrong)


@pytest.mark.parametrize("key", ["a b", "a..b", "workers=1", "", "x" * 201])
def test_an_override_of_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ValidationError):
        BuildForm(overrides={key: 1})


def test_the_choices_of_the_forms_are_those_of_the_project() -> None:
    build = BuildForm.model_json_schema()["properties"]
    assert get_args(ShippedProfile) == known_profiles()
    assert build["chips"]["items"]["enum"] == list(CHIPS)
    assert build["precisions"]["items"]["enum"] == list(PRECISIONS)
    assert build["io"]["items"]["enum"] == list(IOS)
    methods = CalibrationSettings.model_json_schema()["properties"]["method"]["enum"]
    assert build["calibration_method"]["enum"] == methods


@pytest.mark.parametrize("form", FORMS)
def test_a_page_draws_plain_fields_and_what_it_begins_with_is_accepted(form: type[Form]) -> None:
    schema = form.model_json_schema()
    unions = [
        name for name, field in schema["properties"].items() if "anyOf" in field or field.get("default", 0) is None
    ]
    assert unions == [] and Draft202012Validator(schema).is_valid(form().model_dump(mode="json"))


@pytest.mark.parametrize("form", FORMS)
def test_every_field_says_what_it_is(form: type[Form]) -> None:
    fields = form.model_json_schema()["properties"]
    assert all(field.get("description") for field in fields.values()), fields
