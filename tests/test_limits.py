"""The page of the limits says what the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from artifacts import bmodel, flatbuffer, golden, measurements, oci, release, signing, strict_json
from artifacts.remote import access, client, login, transport
from artifacts.remote.job import Limits
from inference import images
from inference.annotations import MAX_FILE_BYTES as MAX_ANNOTATION_BYTES
from inference.deploy import state, trust
from inference.engines import worker_main
from settings import load, toml_text
from tasks import coco
from tasks.bundle import manifest, unpack
from tasks.bundle import release as bundled
from tasks.devices import agent, answers
from tasks.network import checkpoint
from tasks.sources import archive, lock, ranges
from tasks.sources.model import Options

PAGE = Path(__file__).parents[1] / "docs" / "limits.md"
ROWS = {line.split(" | ")[0].strip("| "): line for line in PAGE.read_text().splitlines() if line.startswith("| ")}


def _size(count: int) -> str:
    for name, unit in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= unit and count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count:,}".replace(",", " ")


@pytest.mark.parametrize(
    ("row", "limits"),
    [
        ("image", [_size(images.MAX_FILE_BYTES), f"{_size(images.MAX_PIXELS)} pixels", f"{images.MAX_SCANS} scans"]),
        ("annotations", [_size(MAX_ANNOTATION_BYTES), _size(coco.MAX_FILE_BYTES)]),
        ("checkpoint", [_size(checkpoint.MAX_BYTES)]),
        ("bmodel", [_size(bmodel.MAX_FLATBUFFER_BYTES), f"{flatbuffer._WORK_PER_BYTE} units"]),
        ("index,", [_size(oci.MAX_MANIFEST_BYTES), f"{oci._MAX_FILES} entries", f"{oci.MAX_TITLE_BYTES} bytes"]),
        ("release record", [_size(release.MAX_RECORD_BYTES)]),
        ("golden", [_size(golden.MAX_GOLDEN_BYTES), _size(measurements.MAX_MEASUREMENTS_BYTES)]),
        ("JSON", [f"{strict_json.MAX_DEPTH} deep", _size(strict_json.MAX_VALUES), f"{strict_json._MAX_DIGITS} digits"]),
        ("signature", [_size(signing.MAX_ENVELOPE_BYTES), f"{signing._MAX_SIGNATURES} signers"]),
        ("file of public keys", [_size(signing._MAX_KEY_FILE_BYTES)]),
        ("docker's", [_size(access._MAX_CONFIG_BYTES), f"{access.HELPER_TIMEOUT_S:g} s"]),
        ("token", [_size(login.MAX_TOKEN_BYTES)]),
        ("what a registry", [_size(transport._MAX_ERROR_BYTES)]),
        ("blob", [f"{transport._MAX_REDIRECTS} redirects", f"{Limits().attempts} tries", "4 hours"]),
        ("list of tags", [f"{client._MAX_PAGES} pages"]),
        ("`state.json`", [_size(state.MAX_STATE_BYTES)]),
        ("`trust.json`", [_size(trust._MAX_MEMORY_BYTES)]),
        ("profile", [_size(load.MAX_PROFILE_BYTES), f"{toml_text.MAX_DEPTH} deep"]),
        ("bundle", [_size(manifest.MAX_BYTES), f"{_size(manifest.MAX_FILES)} files", _size(unpack.MAX_HEADER_BYTES)]),
        ("expected bmodels", [_size(bundled.MAX_EXPECTED_BYTES), str(bundled._LONGEST)]),
        ("download", [_size(Options().max_bytes), f"{Options().max_redirects} redirects"]),
        ("member", [_size(Options().max_bytes), str(archive._BEST_RATIO), _size(ranges.MOST_IN_MEMORY)]),
        ("`sources.lock.json`", [_size(lock.MAX_LOCK_BYTES)]),
        ("what a device", [_size(answers.MAX_ANSWER_BYTES), _size(agent._MAX_REPORT)]),
        ("answer of the compiler", [_size(worker_main.MAX_PAYLOAD_BYTES), _size(worker_main.MAX_HEADER_BYTES)]),
    ],
)
def test_a_row_has_the_limits_of_the_code(row: str, limits: list[str]) -> None:
    [line] = [line for name, line in ROWS.items() if name.startswith(row)]
    assert [limit for limit in limits if limit not in line] == []


def test_every_module_that_the_page_names_is_there() -> None:
    for name in re.findall(r"`((?:artifacts|inference|settings|tasks)/[a-z_/.]*)`", PAGE.read_text()):
        assert (PAGE.parents[1] / name).exists(), name
