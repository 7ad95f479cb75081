"""A secret of every kind that a build can be given, and a search for them in all that is left."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

from tests.flows.tiny import PROGRAM, ROOT, TinyBuild

ENV_USER, CONFIG_USER, HELPER_USER = "env-user", "config-user", "helper-user"
CANARIES = {
    "registry password, environment": "cnry/env+pass%word&1d7e",
    "registry password, docker's configuration": "cnry:config pass=2e8f",
    "registry password, credential helper": "cnry~helper#pass?3f9a",
    "package index password": "cnry-index-4a0b",
    "mirror password": "cnry-mirror-5b1c",
    "mirror token": "cnry-token-6c2d",
    "passphrase of the signing key": "cnry phrase 7d3e",
    "Prefect's key": "cnry-prefect-8e4f",
    "Prefect's user and password": "cnry-admin:cnry-auth-9f5a",
    "webhook": "cnry-hook-a06b",
}
# bcrypt, the only scheme that the server takes.
HTPASSWD = """\
env-user:$2b$04$abcdefghijklmnopqrstuu51mrLNQwAFh8kXrGtaZad3FAJ1ABQg6
config-user:$2b$04$abcdefghijklmnopqrstuuFwTa103UWPHphudu1ib/wzsKD.0OxQO
helper-user:$2b$04$abcdefghijklmnopqrstuu91Cp3hHwUFtE2aiQjbZLQrX9tdiqoZ6
"""

_NOTED = 'tr "\\0" "\\n" < /proc/self/environ >> "{seen}"; tr "\\0" "\\n" < /proc/$PPID/environ >> "{seen}"\n'
_ALONE = 'tr "\\0" "\\n" < /proc/self/environ >> "{seen}"\n'


def forms(secret: str) -> Iterator[bytes]:
    """The ways in which a text can be written down: as it is, in an address, in JSON, in base64 at any place."""
    yield from {text.encode() for text in (secret, quote(secret, safe=""), quote(secret), quote_plus(secret))}
    yield json.dumps(secret)[1:-1].encode()
    yield repr(secret)[1:-1].encode()
    for before in range(3):
        # The letters at both ends hang on what is beside it.
        whole = base64.b64encode(bytes(before) + secret.encode()).rstrip(b"=")
        inner = whole[(0, 2, 3)[before] : len(whole) - 1]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


class Given:
    """What a user has at hand: secrets in files and variables. Nothing else may hold them afterwards.

    Attributes:
        folder: The files; not searched.
        secrets: Every secret by its kind.
        everything: The folder that is searched, but for the files above.
    """

    def __init__(self, everything: Path) -> None:
        self.everything = everything
        self.folder = everything / "given"
        self.home = everything / "home"
        self.home.mkdir(parents=True)
        (self.folder / "bin").mkdir(parents=True)
        self.secrets = dict(CANARIES)
        self.key = self.folder / "publisher"
        self._make_key()
        self._helper()

    def _make_key(self) -> None:
        from tasks.signing_key import make_key

        make_key(self.key, {"CENTERNET_KEY_PASSPHRASE": CANARIES["passphrase of the signing key"]})
        self.secrets["signing key"] = self.key.read_text().splitlines()[1]
        plain = self.folder / "plain"
        make_key(plain, {})
        self.secrets["signing key without a passphrase"] = plain.read_text().splitlines()[1]

    def _helper(self) -> None:
        answer = {"Username": HELPER_USER, "Secret": CANARIES["registry password, credential helper"]}
        script = self.folder / "bin" / "docker-credential-canary"
        script.write_text(f"#!/bin/sh\ncat > /dev/null\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
        script.chmod(0o755)

    def environment(self, certificate: Path | None = None) -> dict[str, str]:
        """Variables that every command gets, without those of a registry."""
        index = CANARIES["package index password"]
        found = {
            "HOME": str(self.home),
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "PREFECT_HOME": str(self.home / ".prefect"),
            "UV_INDEX_URL": f"https://user:{index}@127.0.0.1:1/simple",
            "PIP_INDEX_URL": f"https://user:{index}@127.0.0.1:1/simple",
            "CENTERNET_KEY_PASSPHRASE": CANARIES["passphrase of the signing key"],
            "PREFECT_API_KEY": CANARIES["Prefect's key"],
            "PREFECT_API_AUTH_STRING": CANARIES["Prefect's user and password"],
            "PREFECT_SERVER_API_AUTH_STRING": CANARIES["Prefect's user and password"],
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "NOTIFY_URL": f"https://hooks.example.com/{CANARIES['webhook']}",
        }
        return found if certificate is None else {**found, "CENTERNET_REGISTRY_CA": str(certificate)}

    def by_environment(self) -> dict[str, str]:
        """The registry's credentials in variables."""
        password = CANARIES["registry password, environment"]
        return {"CENTERNET_REGISTRY_USER": ENV_USER, "CENTERNET_REGISTRY_PASSWORD": password}

    def by_docker(self, place: str, *, helper: bool) -> dict[str, str]:
        """The registry's credentials in docker's configuration, or from a helper that it names."""
        folder = self.folder / ("docker-helper" if helper else "docker")
        folder.mkdir(exist_ok=True)
        plain = f"{CONFIG_USER}:{CANARIES['registry password, docker' + chr(39) + 's configuration']}"
        entry = {"auth": base64.b64encode(plain.encode()).decode()}
        config = {"credHelpers": {place: "canary"}} if helper else {"auths": {place: entry}}
        (folder / "config.json").write_text(json.dumps(config))
        return {"DOCKER_CONFIG": str(folder)}

    def mirror(self, address: str) -> str:
        """An address with a password before the host and a signature behind the path."""
        scheme, _, rest = address.partition("://")
        return f"{scheme}://user:{CANARIES['mirror password']}@{rest}?token={CANARIES['mirror token']}"

    def leaks(self) -> list[str]:
        """Every secret that lies anywhere beside the user's own files, with the file."""
        wanted = {kind: tuple(forms(secret)) for kind, secret in self.secrets.items()}
        found = []
        for path in sorted(self.everything.rglob("*")):
            if self.folder in path.parents or not path.is_file() or path.is_symlink():
                continue
            data = path.read_bytes()
            for kind, written in wanted.items():
                if any(form in data for form in written):
                    found.append(f"{kind}: {path.relative_to(self.everything)}")
        return found

    def searched(self) -> tuple[int, int]:
        """How many files, and bytes, are searched."""
        files = [path for path in self.everything.rglob("*") if path.is_file() and self.folder not in path.parents]
        return len(files), sum(path.stat().st_size for path in files)


def watched(build: TinyBuild) -> Path:
    """Let every program of the stand-in compiler note its environment, and its guard's; returns where."""
    seen = build.environment / "seen"
    for tool in (build.environment / "bin").iterdir():
        head, _, rest = tool.read_text().partition("\n")
        # The parent of the interpreter's Python is the build itself, which has all of it.
        noted = (_ALONE if tool.name == "python" else _NOTED).format(seen=seen)
        tool.write_text(f"{head}\n{noted}{rest}")
    return seen


def run(
    given: Given,
    build: TinyBuild,
    name: str,
    *arguments: str,
    program: str = PROGRAM,
    umask: int = -1,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run a command of a build's program to its end; what it says lies among what is searched."""
    toolchain = given.everything / "toolchain.json"
    toolchain.write_text(build.toolchain.model_dump_json())
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "UV_", "PIP_"))}
    done = subprocess.run(
        [sys.executable, "-c", program, str(toolchain), "--profile", str(build.profile), *arguments],
        cwd=ROOT,
        env={**clean, "CENTERNET_CACHE": build.workspace.cache, **environment},
        capture_output=True,
        text=True,
        check=False,
        umask=umask,
    )
    said = given.everything / "said"
    said.mkdir(exist_ok=True)
    (said / f"{name}.out").write_text(done.stdout)
    (said / f"{name}.err").write_text(done.stderr)
    return done


def weights(address: str) -> Mapping[str, str]:
    """The variable that names a mirror of the weights."""
    return {"CENTERNET_WEIGHTS__MIRRORS": json.dumps([address])}


def modes(folder: Path) -> list[str]:
    """Files and folders below one that others than their owner may write."""
    return [
        str(path)
        for path in [folder, *folder.rglob("*")]
        if not path.is_symlink() and path.stat().st_mode & stat.S_IWOTH and not stat.S_ISSOCK(path.stat().st_mode)
    ]
