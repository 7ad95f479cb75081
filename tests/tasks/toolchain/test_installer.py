"""What the log of an installation tells."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import uv

from tasks.toolchain.installer import Installer, uv_environment


@pytest.mark.parametrize(
    ("log", "share"),
    [
        ("$ /uv python find --system 3.10\n", 0.0),
        ("$ /uv venv --python /p /e\n", 0.1),
        ("$ /uv venv --python /p /e\n$ /uv pip install --python /e/bin/python tpu_mlir\nResolved 90 packages\n", 0.1),
        ("$ /uv venv /e\n$ /uv pip install x\nDownloading a (1GiB)\nDownloading b (9MiB)\n Downloaded b\n", 0.5),
        (
            "$ /uv venv /e\n$ /uv pip install x\nDownloading a (1GiB)\n Downloaded a\n$ /e/bin/python -c 'import a'\n",
            0.9,
        ),
    ],
)
def test_how_far_an_installation_is_is_read_from_its_log(log: str, share: float, tmp_path: Path) -> None:
    with Installer(tmp_path / "log", 1.0) as installer:
        (tmp_path / "log").write_text(log)
        assert installer.share_done() == pytest.approx(share)


def test_uv_and_what_builds_packages_get_the_index_and_no_other_secret() -> None:
    ours = {"PATH": "/bin", "UV_INDEX_URL": "https://user:word@index/simple", "HTTPS_PROXY": "http://proxy", "CC": "cc"}
    more = ("CENTERNET_REGISTRY_PASSWORD", "CENTERNET_KEY_PASSPHRASE", "PREFECT_API_KEY", "VIRTUAL_ENV", "PYTHONPATH")
    made = uv_environment({**ours, **dict.fromkeys(more, "canary")})
    assert made == {**ours, "UV_HTTP_TIMEOUT": "300", "UV_NO_PROGRESS": "1"}


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/simple?token=canary", "http://u:canary@127.0.0.1:1/simple"])
def test_neither_message_nor_log_of_an_installation_shows_what_the_address_of_the_index_carries(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"UV_INDEX_URL": address, "UV_HTTP_RETRIES": "0", "UV_CACHE_DIR": str(tmp_path / "c")}.items():
        monkeypatch.setenv(name, value)
    log = tmp_path / "log"
    with Installer(log, 60.0) as installer:
        status, said = installer.run(
            [uv.find_uv_bin(), "pip", "install", "--target", str(tmp_path / "t"), "tpu-mlir==1.0", "--no-deps"],
            uv_environment(os.environ),
        )
    assert status != 0 and "127.0.0.1:1/simple/" in said
    assert "canary" not in said + log.read_text()
