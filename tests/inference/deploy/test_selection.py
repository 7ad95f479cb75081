"""Which files of a release a device takes."""

from __future__ import annotations

from artifacts.oci import RECORD_TITLE
from artifacts.release import Variant
from inference.deploy.selection import FOR_PEOPLE, wanted_files
from tests.artifacts.releases import blob_of

INT8 = Variant(chip="BM1688", precision="int8", batch=1)
OTHER = Variant(chip="BM1688", precision="fp32", batch=1)
FOREIGN = Variant(chip="BM1684", precision="int8", batch=1)
RECORD = blob_of(b"record")
NEEDED = ("golden.json", "golden/a.png", "calibration.json", "report.md", "measurements.json")
BLOBS = {
    title: blob_of(title.encode())
    for title in (INT8.path, OTHER.path, FOREIGN.path, "BM1684/golden.json", *NEEDED, *FOR_PEOPLE)
}


def test_what_only_people_look_at_is_left_out() -> None:
    wanted = wanted_files(BLOBS, RECORD, [INT8])
    assert set(wanted) == {INT8.path, RECORD_TITLE, *NEEDED}
    assert wanted[RECORD_TITLE] == RECORD and wanted[INT8.path] == BLOBS[INT8.path]


def test_all_means_all_that_goes_with_the_chip() -> None:
    wanted = wanted_files(BLOBS, RECORD, [INT8, OTHER], every=True)
    assert set(wanted) == {INT8.path, OTHER.path, RECORD_TITLE, *NEEDED, *FOR_PEOPLE}


def test_a_model_is_wanted_whatever_it_is_called() -> None:
    assert INT8.path in wanted_files({INT8.path: BLOBS[INT8.path]}, RECORD, [INT8])
