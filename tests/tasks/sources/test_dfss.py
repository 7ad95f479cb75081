"""The vendor's tool, played by a module that does what the real one does: a shell, a child, files in its folder."""

from __future__ import annotations

import io
import os
import textwrap
import time
import zipfile
from pathlib import Path

import pytest

from tasks.download import Source, fetch
from tasks.errors import DigestMismatch, DownloadStopped, FailureKind, SourceUnavailable
from tests.tasks.sources.origin import numbered
from tests.tasks.sources.support import QUICK, names, source_of

CONTENT = numbered(20_001)
MIRROR = "dfss://open@sophgo.com:sophon-demo/CenterNet/models.zip"


class Tool:
    """Puts a module called dfss where the next Python process finds it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen = folder / "seen"
        self._package = folder / "site" / "dfss"
        self._package.mkdir(parents=True)
        (self._package / "__init__.py").touch()
        monkeypatch.setenv("PYTHONPATH", str(folder / "site"))

    def does(self, *lines: str) -> None:
        """Body of the tool's run, after it has noted its arguments and folder."""
        note = f"pathlib.Path({str(self.seen)!r}).write_text(os.getcwd() + ' ' + ' '.join(sys.argv[1:]))"
        head = "import os, pathlib, subprocess, sys, time"
        (self._package / "__main__.py").write_text("\n".join([head, note, *map(textwrap.dedent, lines)]))


@pytest.fixture
def tool(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Tool:
    return Tool(tmp_path_factory.mktemp("tool"), monkeypatch)


def writes(name: str, content: bytes = CONTENT) -> str:
    return f"pathlib.Path({name!r}).write_bytes({content!r})"


def test_the_one_file_that_the_tool_leaves_is_taken(tool: Tool, tmp_path: Path) -> None:
    tool.does(writes("models.zip"))
    fetched = fetch(source_of(CONTENT, MIRROR), tmp_path / "m.zip", options=QUICK)
    assert (fetched.mirror, (tmp_path / "m.zip").read_bytes()) == (MIRROR, CONTENT)
    folder, argument = tool.seen.read_text().split()
    assert argument == "--url=open@sophgo.com:sophon-demo/CenterNet/models.zip"
    assert Path(folder).parent.parent == tmp_path
    assert names(tmp_path) == ["m.zip"]


def test_the_tool_gets_no_secret_of_ours(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CENTERNET_REGISTRY_PASSWORD", "CENTERNET_KEY_PASSPHRASE", "UV_INDEX_URL"):
        monkeypatch.setenv(name, "canary")
    seen = tmp_path / "environment"
    tool.does(f"pathlib.Path({str(seen)!r}).write_text(str(dict(os.environ)))", writes("models.zip"))
    fetch(source_of(CONTENT, MIRROR), tmp_path / "m.zip", options=QUICK)
    assert "canary" not in seen.read_text() and "PATH" in seen.read_text()


def test_one_member_of_the_zip_that_the_tool_leaves(tool: Tool, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("models/torch/a.pth", CONTENT)
    tool.does(writes("models.zip", buffer.getvalue()))
    fetch(source_of(CONTENT, MIRROR + "!/models/torch/a.pth"), tmp_path / "a.pth", options=QUICK)
    assert (tmp_path / "a.pth").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        (["print('No available server found')"], "ended well and left nothing: No available server found"),
        ([writes("models.zip"), "sys.exit(1)"], "ended with status 1"),
        ([writes("models.zip"), writes("extra")], "left 2 files where one was expected: extra, models.zip"),
        ([writes("other.zip")], "left other.zip where models.zip was expected"),
        (["raise SystemExit('Cannot download')"], "Cannot download"),
    ],
    ids=["none", "failed", "several", "another", "complaint"],
)
def test_the_tool_is_judged_by_what_it_leaves(tool: Tool, tmp_path: Path, does: list[str], reason: str) -> None:
    tool.does(*does)
    with pytest.raises(SourceUnavailable, match=reason) as caught:
        fetch(source_of(CONTENT, MIRROR), tmp_path / "m.zip", options=QUICK)
    assert [failure.kind for failure in caught.value.failures] == [FailureKind.TOOL]
    assert caught.value.transient
    assert names(tmp_path) == []


def test_wrong_bytes_from_the_tool_are_refused(tool: Tool, tmp_path: Path) -> None:
    tool.does(writes("models.zip", CONTENT[::-1]))
    with pytest.raises(DigestMismatch):
        fetch(source_of(CONTENT, MIRROR), tmp_path / "m.zip", options=QUICK)


def test_a_missing_tool_is_named_with_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(SourceUnavailable, match="-m pip install dfss"):
        fetch(source_of(CONTENT, MIRROR), tmp_path / "m.zip", options=QUICK)


@pytest.mark.parametrize(
    ("options", "error"),
    [({"dfss_timeout_s": 0.5}, SourceUnavailable), ({"deadline_s": 0.5}, DownloadStopped)],
    ids=["its own limit", "the deadline"],
)
def test_a_tool_that_hangs_is_ended_with_its_children(
    tool: Tool, tmp_path: Path, options: dict[str, float], error: type[Exception]
) -> None:
    child = tmp_path / "child"
    tool.does(
        f"process = subprocess.Popen(['sleep', '60']); pathlib.Path({str(child)!r}).write_text(str(process.pid))",
        "time.sleep(60)",
    )
    changes: dict[str, float] = {key: 4 * value for key, value in options.items()}
    with pytest.raises(error):
        fetch(source_of(CONTENT, MIRROR), tmp_path / "t" / "m.zip", options=QUICK.model_copy(update=changes))
    assert not alive(int(child.read_text()))
    assert names(tmp_path / "t") == []


def alive(number: int) -> bool:
    # A killed child whose parent is gone too stays a zombie for a moment, or for ever in a container without an init.
    for _ in range(100):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return False
        if Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return False
        time.sleep(0.05)
    return True


def test_what_a_killed_run_left_is_not_mistaken_for_the_result(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "m.zip.dfss" / "got").mkdir(parents=True)
    (tmp_path / "m.zip.dfss" / "got" / "models.zip").write_bytes(CONTENT)
    tool.does("pass")
    with pytest.raises(SourceUnavailable, match="left nothing"):
        fetch(source_of(CONTENT, MIRROR), tmp_path / "m.zip", options=QUICK)


@pytest.mark.parametrize(
    "path", ["a.zip;reboot", "a$(id).zip", "a b.zip", "../a.zip", "a/../b.zip", "a/", "a.zip&", "-a", "`id`"]
)
def test_an_address_that_a_shell_would_read_is_refused(path: str) -> None:
    # The tool hands its arguments to a shell.
    with pytest.raises(ValueError, match="letters, digits"):
        Source(name="a", mirrors=(f"dfss://open@sophgo.com:{path}",))
