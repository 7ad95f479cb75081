"""What a release says that it was made from."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from artifacts import media
from artifacts.digest import digest_bytes, hex_of
from artifacts.store import Blob
from inference.deploy.selection import FOR_PEOPLE
from tasks.materials import SBOM_TITLE, bill_of_materials, purl
from tasks.packages import Package, build_requirements, device_package, needed_packages, packages_in
from tasks.toolchain.model import Toolchain
from tests.tasks.cyclonedx import problems
from tests.tasks.results import COMPILER, results, settings_in, workspace_in

FILES = {"report.md": Blob.of(b"report"), "BM1688/centernet_fp32_1b.bmodel": Blob.of(b"model")}


def bill(folder: Path, compiler: Toolchain = COMPILER, *overrides: str) -> bytes:
    found = results(workspace_in(folder))
    return bill_of_materials(found, FILES, settings_in(folder, *overrides), compiler)


def installed(folder: Path, **about: str) -> Path:
    """An environment with packages, each with lines of its metadata."""
    for name, lines in about.items():
        info = folder / "lib/python3.10/site-packages" / f"{name}-1.0+cpu.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0+cpu\n{lines}\n")
    return folder / "lib/python3.10/site-packages"


def standing(folder: Path, **about: str) -> Toolchain:
    installed(folder, **about)
    return COMPILER.model_copy(update={"root": str(folder)})


def by_ref(data: bytes) -> dict[str, Any]:
    return {one["bom-ref"]: one for one in json.loads(data)["components"]}


def test_it_is_what_the_schema_of_cyclonedx_wants(tmp_path: Path) -> None:
    licences = {"A": "License-Expression: MIT", "B": "License: Own words", "C": "License: a\n        b"}
    assert problems(bill(tmp_path, standing(tmp_path / "compiler", **licences))) == []
    assert problems(bill(tmp_path).replace(b'"type":"library"', b'"type":"book"')) != []


def test_equal_builds_on_two_machines_give_the_same_bytes(tmp_path: Path) -> None:
    one = bill(tmp_path / "one", standing(tmp_path / "a", Torch="License: BSD", numpy=""))
    two = bill(tmp_path / "two", standing(tmp_path / "b", numpy="", Torch="License: BSD"))
    assert one == two
    assert str(tmp_path).encode() not in one and Path.home().as_posix().encode() not in one
    assert "serialNumber" not in json.loads(one) and "timestamp" not in json.loads(one)["metadata"]


@pytest.mark.parametrize(
    ("overrides", "same"),
    [
        (
            [
                'weights.mirrors=["https://user:secret@mirror.example/w.pth?token=secret"]',
                "weights.record_first_use=true",
            ],
            True,
        ),
        (["workers=7"], True),
        (["release.name=other"], False),
    ],
)
def test_where_a_source_was_had_from_and_how_fast_is_no_part_of_it(
    overrides: list[str], same: bool, tmp_path: Path
) -> None:
    assert (bill(tmp_path, COMPILER, *overrides) == bill(tmp_path)) is same


def test_it_names_weights_images_files_and_both_environments(tmp_path: Path) -> None:
    data = bill(tmp_path, standing(tmp_path / "compiler", tpu_mlir="License-Expression: BSD-2-Clause"))
    found, release = by_ref(data), json.loads(data)["metadata"]["component"]
    made = results(workspace_in(tmp_path))
    assert found["weights"]["hashes"] == [{"alg": "SHA-256", "content": hex_of(made.checkpoint.blob.digest)}]
    assert made.calibration is not None and made.evaluation.annotations is not None
    assert found["calibration"]["hashes"][0]["content"] == hex_of(made.calibration.manifest.digest)
    assert found["evaluation"]["hashes"][0]["content"] == hex_of(made.evaluation.annotations.digest)
    assert {one["name"]: one["hashes"][0]["content"] for one in release["components"]} == {
        "report.md": hex_of(digest_bytes(b"report")),
        "BM1688/centernet_fp32_1b.bmodel": hex_of(digest_bytes(b"model")),
    }
    assert found["compiler"]["version"] == "1.30.2"
    assert found["compiler:pkg:pypi/tpu-mlir@1.0%2Bcpu"]["licenses"] == [{"expression": "BSD-2-Clause"}]
    python = {"name": f"{media.PREFIX}:python", "value": f"{sys.version_info[0]}.{sys.version_info[1]}"}
    assert found["build"]["properties"] == [python]
    assert [one for one in found if one.startswith("build:pkg:pypi/torch@")]
    assert f"{media.PREFIX}:requires" in {one["name"] for one in found["device"]["properties"]}
    refs = [one["bom-ref"] for one in json.loads(data)["components"]]
    assert len(refs) == len(set(refs))
    used = {ref for one in json.loads(data)["dependencies"] for ref in one["dependsOn"]}
    assert used == set(refs) - {"device"}


def test_another_package_set_is_another_bill(tmp_path: Path) -> None:
    assert bill(tmp_path, standing(tmp_path / "a", numpy="")) != bill(tmp_path, standing(tmp_path / "b", torch=""))


def test_licences_are_taken_as_their_makers_give_them(tmp_path: Path) -> None:
    classifier = "Classifier: License :: OSI Approved"
    folder = installed(
        tmp_path,
        a="License-Expression: MIT OR Apache-2.0\nLicense: other",
        b=f"{classifier} :: MIT License\nLicense: all the text",
        c=f"License: BSD\n{classifier}",
        d="License: UNKNOWN",
        e="License: " + "x" * 100,
    )
    assert [(one.name, one.expression, one.licence) for one in packages_in(folder)] == [
        ("a", "MIT OR Apache-2.0", None),
        ("b", None, "MIT License"),
        ("c", None, "BSD"),
        ("d", None, None),
        ("e", None, None),
    ]


def test_what_the_requirements_bring_along_is_found_and_nothing_else() -> None:
    found = {one.name for one in needed_packages(build_requirements())}
    assert {"prefect", "torch", "numpy", "starlette"} <= found
    assert not {"pytest", "ruff", "mypy", "pip"} & found
    assert {one.name for one in needed_packages(["jinja2"])} == {"jinja2", "markupsafe"}
    assert needed_packages(["nobody-has-this"]) == ()


def test_a_package_has_its_address() -> None:
    assert purl(Package("torch", "2.11.0+cpu", None, None)) == "pkg:pypi/torch@2.11.0%2Bcpu"
    assert device_package()[0] == "centernet-sophon-device" and "requests>=2.22" in device_package()[2]


def test_a_device_leaves_it_where_it_is_and_a_registry_knows_what_it_is() -> None:
    assert SBOM_TITLE in FOR_PEOPLE
    assert media.media_type_of(SBOM_TITLE) == "application/vnd.cyclonedx+json"
    assert media.media_type_of("release.json") == "application/json"
    assert media.media_type_of("a.BMODEL") == media.BMODEL and media.media_type_of("golden") == media.UNKNOWN
