"""Names of files in a release: `artifacts.oci.check_titles` and `artifacts.variant.Variant.from_path`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from artifacts.digest import check_digest
from artifacts.errors import BadDigest, BadVariant, LayoutError
from artifacts.oci import check_tag, check_titles
from artifacts.variant import Variant


def target(data: bytes) -> None:
    """Check names, one a line; those that are accepted stay below a folder, and lie beside each other."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    for line in lines:
        with contextlib.suppress(BadVariant):
            assert Variant.from_path(Variant.from_path(line).path).path.endswith(line.rpartition("/")[2])
        for check, error in ((check_tag, LayoutError), (check_digest, BadDigest)):
            try:
                check(line)
            except error:
                continue
    try:
        check_titles(lines)
    except LayoutError:
        return
    for line in lines:
        assert os.path.normpath(f"/r/{line}") == f"/r/{line}"


def seeds() -> Iterator[bytes]:
    """Sound and unsound names."""
    yield b"BM1684X/centernet_int8_4b.bmodel\nrelease.json\nreport/index.html"
    yield b"BM1688/centernet_int8_4b_2core_raw.bmodel\n../x\n/a\na//b\n."
    yield b"1.0.0\nlatest\nsha256:" + b"0a" * 32
