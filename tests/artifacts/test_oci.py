from __future__ import annotations

import json
from typing import Any, Callable, Dict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts import media
from artifacts.digest import digest_bytes
from artifacts.errors import LayoutError
from artifacts.oci import Built, build, check_tag, check_title, read_index, read_manifest
from artifacts.store import Blob
from tests.artifacts.releases import SHARED, VARIANTS, blob_of, model_bytes, record


def blobs() -> Dict[str, Blob]:
    contents = {variant.path: model_bytes(variant, "1.0.0") for variant in VARIANTS}
    return {title: blob_of(data) for title, data in {**contents, **SHARED}.items()}


def built() -> Built:
    return build(record(), blobs())


def test_the_index_has_the_shape_that_keeps_its_digest_everywhere() -> None:
    index = json.loads(built().index_json)
    assert "artifactType" not in json.dumps(index)
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert index["schemaVersion"] == 2
    assert [entry["annotations"] for entry in index["manifests"]] == [
        {"io.github.centernet-sophon.chip": chip} for chip in ("BM1684", "BM1684X", "BM1688")
    ]
    for entry, data in zip(index["manifests"], built().manifests.values()):
        assert entry["platform"] == {"os": "unknown", "architecture": "unknown"}
        assert (entry["digest"], entry["size"]) == (digest_bytes(data), len(data))
    assert index["annotations"]["org.opencontainers.image.version"] == "1.0.0"
    assert index["annotations"]["io.github.centernet-sophon.demonstration"] == "true"


def test_each_chip_carries_the_record_its_own_models_and_what_is_shared() -> None:
    release = built()
    manifest = json.loads(release.manifests["BM1684X"])
    assert manifest["artifactType"] == media.ARTIFACT_TYPE
    assert manifest["annotations"] == {media.CHIP: "BM1684X"}
    assert manifest["config"]["mediaType"] == media.RELEASE_CONFIG
    assert manifest["config"]["digest"] == digest_bytes(release.record)
    assert {layer["annotations"][media.TITLE]: layer["mediaType"] for layer in manifest["layers"]} == {
        "BM1684X/centernet_fp16_1b.bmodel": media.BMODEL,
        "BM1684X/centernet_int8_1b.bmodel": media.BMODEL,
        "calibration.json": "application/json",
        "release.json": "application/json",
        "report/index.html": "text/html",
        "sheet.png": "image/png",
    }


def test_equal_releases_have_equal_bytes() -> None:
    assert build(record(variants=VARIANTS[::-1]), dict(reversed(list(blobs().items())))) == built()


def test_what_was_built_reads_back() -> None:
    release = built()
    children = read_index(release.index_json)
    assert [child.chip for child in children] == ["BM1684", "BM1684X", "BM1688"]
    manifest = read_manifest(release.manifests["BM1688"], "BM1688")
    assert manifest.record == blob_of(release.record)
    assert manifest.files["sheet.png"] == blob_of(SHARED["sheet.png"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: files.pop(VARIANTS[0].path), "was not given"),
        (lambda files: files.update({VARIANTS[0].path: blob_of(b"other")}), "the file given is"),
        (lambda files: files.update({"BM1684X/centernet_fp32_1b.bmodel": blob_of(b"x")}), "does not name"),
        (lambda files: files.update({"release.json": blob_of(b"x")}), "is not the record"),
        (lambda files: files.update({"../evil": blob_of(b"x")}), "not accepted as a file name"),
        (lambda files: files.update({"sheet.png/x": blob_of(b"x")}), "both a file and the folder"),
    ],
)
def test_files_that_do_not_fit_the_record_are_refused(change: Callable[[Dict[str, Blob]], Any], message: str) -> None:
    files = blobs()
    change(files)
    with pytest.raises(LayoutError, match=message):
        build(record(), files)


def test_a_file_for_a_chip_that_the_release_lacks_is_refused() -> None:
    only = [variant for variant in VARIANTS if variant.chip == "BM1684X"]
    files = {title: blob for title, blob in blobs().items() if not title.startswith("BM1688/")}
    files["BM1688/compile.log"] = blob_of(b"log")
    files = {title: blob for title, blob in files.items() if not title.startswith("BM1684/")}
    with pytest.raises(LayoutError, match="no variant for"):
        build(record(variants=only), files)


@pytest.mark.parametrize(
    "title",
    ["", "/etc/passwd", "..", "../x", "a/../b", "a/..", "./a", "a//b", "a/", "/a", "a\\b", "a\0b", "a\nb", ".hidden",
     "a/.b", "x" * 201, "C:\\x", "é", "~/x", "-rf", "a/-x", "a\x7f", "a:b"],
)  # fmt: skip
def test_unsafe_file_names_are_refused(title: str) -> None:
    with pytest.raises(LayoutError, match="not accepted as a file name"):
        check_title(title)


def test_ordinary_file_names_are_accepted() -> None:
    titles = ["BM1684X/compile.log", "report/a b (1).html", "a", "a.b/c", "b/a", "x" * 200]
    release = build(record(), {**blobs(), **{title: blob_of(title.encode()) for title in titles}})
    files = read_manifest(release.manifests["BM1684X"]).files
    assert [files[title] for title in titles] == [blob_of(title.encode()) for title in titles]


@pytest.mark.parametrize("tag", ["", "a/b", "-x", ".x", "x" * 129, "a b", "a:b", "a\n", "é"])
def test_tags_that_the_specification_forbids_are_refused(tag: str) -> None:
    with pytest.raises(LayoutError, match="cannot be a tag"):
        check_tag(tag)


def edited(data: bytes, edit: Callable[[Any], Any]) -> bytes:
    value = json.loads(data)
    edit(value)
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda index: index["manifests"].append(index["manifests"][0]), "names BM1684 more than once"),
        (lambda index: index["manifests"][0]["annotations"].clear(), "for the chip None"),
        (lambda index: index["manifests"][0].update(digest="sha256:../../x"), "not a digest"),
        (lambda index: index["manifests"][0].update(size=-1), "greater than or equal to 0"),
        (lambda index: index["manifests"][0].update(size=1 << 50), "less than or equal to"),
        (lambda index: index.update(manifests={}), "manifests"),
        (lambda index: index.update(mediaType="text/plain"), "This is no release"),
        (lambda index: index.update(pad=" " * (4 << 20)), "larger than"),
    ],
)
def test_an_index_that_was_tampered_with_is_refused(edit: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        read_index(edited(built().index_json, edit))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda manifest: manifest["annotations"].update({media.CHIP: "BM1688"}), "says that it is for BM1688"),
        (lambda manifest: manifest["annotations"].clear(), "for the chip None"),
        (lambda manifest: manifest.update(artifactType="application/other"), "This is no model"),
        (lambda manifest: manifest["config"].update(mediaType="application/other"), "record is"),
        (lambda manifest: manifest["layers"].append(manifest["layers"][0]), "more than once"),
        (lambda manifest: manifest["layers"][0].pop("annotations"), "not accepted as a file name"),
        (lambda manifest: manifest["layers"][0]["annotations"].update({media.TITLE: "../../x"}), "not accepted"),
        (lambda manifest: manifest.update(layers=manifest["layers"] * 400), "at most 1000"),
        (lambda manifest: manifest.pop("config"), "config"),
    ],
)
def test_a_manifest_that_was_tampered_with_is_refused(edit: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        read_manifest(edited(built().manifests["BM1684X"], edit), "BM1684X")


@pytest.mark.usefixtures("nothing_is_collected")
@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    data=st.binary(max_size=50) | st.just(b"[" * 99_999) | st.text(alphabet='{}[]":,0x\\u', max_size=40).map(str.encode)
)
def test_bytes_that_are_no_manifest_are_refused_and_nothing_else(data: bytes) -> None:
    for read in (read_index, read_manifest):
        with pytest.raises(LayoutError):
            read(data)
