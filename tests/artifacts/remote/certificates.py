"""An authority for tests, and certificates that it issues, by the openssl command."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import List, Tuple

import pytest

_CONFIG = """
[ca]
default_ca = own
[own]
dir = {folder}
database = {folder}/index.txt
new_certs_dir = {folder}
serial = {folder}/serial
default_md = sha256
policy = any
email_in_dn = no
unique_subject = no
x509_extensions = server
[any]
commonName = supplied
[server]
subjectAltName = IP:127.0.0.1,DNS:localhost
basicConstraints = CA:FALSE
"""


class Authority:
    """Issues certificates for 127.0.0.1.

    Args:
        folder: Where its files lie; must be new.
    """

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("the openssl command is not installed")
        folder.mkdir()
        self.folder = folder
        self.certificate = folder / "ca.pem"
        (folder / "index.txt").touch()
        (folder / "serial").write_text("01\n")
        (folder / "ca.cnf").write_text(_CONFIG.format(folder=folder))
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        self._curve = curve
        own = ["-keyout", str(folder / "ca.key"), "-out", str(self.certificate), "-days", "30", "-subj", "/CN=tests"]
        self._openssl("req", "-x509", *curve, *own)

    def issue(self, name: str, start: str = "", end: str = "") -> Tuple[Path, Path]:
        """Return certificate and key.

        Args:
            name: Of the files.
            start: First moment, as 20200101000000Z; now when empty.
            end: Last moment; in thirty days when empty.
        """
        key, request, certificate = (self.folder / f"{name}.{suffix}" for suffix in ("key", "csr", "pem"))
        self._openssl("req", "-new", *self._curve, "-keyout", str(key), "-out", str(request), "-subj", "/CN=localhost")
        dates: List[str] = ["-startdate", start, "-enddate", end] if start else ["-days", "30"]
        self._openssl(
            "ca", "-batch", "-notext", "-config", str(self.folder / "ca.cnf"), "-cert", str(self.certificate),
            "-keyfile", str(self.folder / "ca.key"), "-in", str(request), "-out", str(certificate), *dates,
        )  # fmt: skip
        return certificate, key

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
