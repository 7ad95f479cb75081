"""Runs of every kind with all secrets set: builds that push, builds that fail at each end, validations."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from tests.artifacts.remote.certificates import Authority
from tests.artifacts.remote.debian import docker_registry
from tests.artifacts.remote.liar import Liar, instead
from tests.flows import canaries
from tests.flows.canaries import HTPASSWD, Given
from tests.flows.tiny import PROGRAM, TinyBuild
from tests.tasks.devices.sshd import Sshd
from tests.tasks.devices.support import STAND_IN
from tests.tasks.sources.server import Exchange, Origin, running_with

# As a build whose last step has a fault: a library's message with the address that it asked.
UNFORESEEN = PROGRAM.replace(
    "from flows.command",
    """
import flows.outcome
def broken(*args, **options):
    import os, json
    raise ValueError("could not ask " + json.loads(os.environ["CENTERNET_WEIGHTS__MIRRORS"])[0])
flows.outcome.publish = broken
from flows.command""",
)
WITHOUT_STAND_IN = "import sys\nfrom flows.command import run_build\nsys.exit(run_build(sys.argv[2:]))"
VALIDATE = "import sys\nfrom flows.validate_command import run_validate\nsys.exit(run_validate(sys.argv[2:]))"


class Runs:
    """One user's machine: a registry with passwords, a mirror, a compiler, and what is run there.

    Attributes:
        given: The user's secrets.
        build: What is built.
        seen: Where the compiler's programs note their environments.
    """

    def __init__(self, given: Given, build: TinyBuild, place: str, origin: Origin, certificate: Path) -> None:
        self.given, self.build, self._place, self._origin = given, build, place, origin
        self.seen = canaries.watched(build)
        self._environment = given.environment(certificate)
        self._weights = origin.put("/weights.pth", (build.folder / "weights.pth").read_bytes())

    def run(
        self, name: str, *arguments: str, program: str = PROGRAM, mirror: str = "", umask: int = -1, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one command with everything set."""
        variables = {**self._environment, **canaries.weights(self.given.mirror(mirror or self._weights)), **environment}
        return canaries.run(self.given, self.build, name, *arguments, program=program, umask=umask, **variables)

    def pushed(self, name: str, credentials: dict[str, str], *more: str) -> int:
        """Build and push with credentials from one place."""
        push = ["--set", f"release.push={self._place}/models/{name}"]
        return self.run(name, *push, *more, **credentials).returncode

    def good(self) -> int:
        """Build, sign and push with the credentials in variables."""
        sign = ["--set", f"release.signing_key={self.given.key}", "--explain"]
        return self.pushed("centernet", self.given.by_environment(), *sign)

    def by_docker(self) -> int:
        """Push with docker's configuration."""
        return self.pushed("docker", self.given.by_docker(self._place, helper=False))

    def by_helper(self) -> int:
        """Push with a credential helper, signed by a key without a passphrase."""
        # In a registry of its own: a channel that another key signed is not moved.
        home = ["--set", f"release.repository={self.build.folder / 'another'}"]
        sign = [*home, "--set", f"release.signing_key={self.given.folder / 'plain'}"]
        return self.pushed("helper", self.given.by_docker(self._place, helper=True), *sign)

    def under(self, umask: int) -> int:
        """Build everything anew under a umask."""
        for name in ("store", "registry", "release"):
            shutil.rmtree(self.build.folder / name, ignore_errors=True)
        return self.run(f"umask-{umask:03o}", umask=umask, **self.given.by_environment()).returncode

    def settings(self) -> int:
        """Print the settings."""
        return self.run("settings", "--settings", **self.given.by_environment()).returncode

    def wrong_password(self) -> int:
        """A push that the server refuses."""
        return self.pushed("refused", {**self.given.by_environment(), "CENTERNET_REGISTRY_USER": "nobody"})

    def redirected(self) -> int:
        """A push to a server that sends us elsewhere, with an address that holds a signature."""
        with Liar() as liar:
            elsewhere = self.given.mirror("https://127.0.0.1:1/v2/")
            liar.always = instead(307, {"Location": elsewhere}, b"")
            variables = {**self.given.by_environment(), "CENTERNET_REGISTRY_PLAIN_HTTP": "1"}
            return self.run("redirected", "--set", f"release.push={liar.place}/m", **variables).returncode

    def wrong_settings(self) -> int:
        """A mirror in a form that the settings do not take."""
        address = self.given.mirror("https://mirror.example/w.pth")
        return self.run("wrong", CENTERNET_WEIGHTS__MIRRORS=f'["{address}"').returncode

    def refused_download(self) -> int:
        """A mirror that refuses."""
        return self.run("refused-download", mirror=self._origin.put("/refused.pth", b"", otherwise=_refuse)).returncode

    def no_mirror(self) -> int:
        """A mirror that is not there."""
        return self.run("no-mirror", mirror="http://127.0.0.1:1/w.pth").returncode

    def no_host(self) -> int:
        """A mirror under a name that nobody has."""
        return self.run("no-host", mirror="https://nobody.invalid/w.pth").returncode

    def compiler_fails(self) -> int:
        """A command of the compiler that fails."""
        self.build.switch("fail", "model_deploy")
        try:
            return self.run("compiler", "--set", "simulator.images=2", "--set", "calibration.count=5").returncode
        finally:
            self.build.switch("fail", None)

    def unforeseen(self) -> int:
        """A fault of ours in the last step."""
        return self.run("unforeseen", program=UNFORESEEN).returncode

    def no_compiler(self) -> int:
        """An index that cannot be reached, asked by the real installer."""
        cache = str(self.given.everything / "no-compiler")
        return self.run("no-compiler", program=WITHOUT_STAND_IN, CENTERNET_CACHE=cache).returncode

    def validated(self, server: Sshd | None) -> int:
        """Validate what was pushed on a stand-in behind ssh, or in this machine, and attach the evidence there."""
        kind = "local" if server is None else "ssh"
        folder = self.given.everything / f"device-{kind}"
        folder.mkdir()
        seen = folder / "seen"
        python = folder / "python3"
        noted = f"tr '\\0' '\\n' < /proc/self/environ >> {quote(str(seen))}"
        variables = f"PYTHONPATH={quote(str(STAND_IN))} STAND_IN_FOLDER={quote(str(folder))}"
        python.write_text(f'#!/bin/sh\n{noted}\n{variables} exec {quote(sys.executable)} "$@"\n')
        python.chmod(0o755)
        device: dict[str, object] = {"kind": "local"} if server is None else {**server.settings}
        device.update({"python": python, "engine": "simulator"})
        if server is not None:
            device["folder"] = folder / "there"
            self.given.secrets["ssh key"] = server.key.read_text().splitlines()[2]
        options = [part for name, value in device.items() for part in ("--set", f"devices.board.{name}={value}")]
        wish = ["--device", "board", "--chip", "BM1684X", "--all"]
        reference = f"{self._place}/models/centernet:latest"
        done = self.run(f"validate-{kind}", reference, *wish, *options, program=VALIDATE, **self.given.by_environment())
        assert seen.exists(), done.stderr
        return done.returncode


@contextmanager
def runs_in(folder: Path) -> Iterator[Runs]:
    """Set everything up, and let the servers run for the block."""
    given = Given(folder / "all")
    build_folder = given.everything / "build"
    build_folder.mkdir()
    authority = Authority(folder / "authority")
    served = docker_registry(given.everything / "server", authority.issue("registry"), HTPASSWD)
    with running_with(_whole) as origin, served as place:
        yield Runs(given, TinyBuild(build_folder), place, origin, authority.certificate)


def _whole(exchange: Exchange, content: bytes) -> None:
    exchange.head(200, {"Content-Length": str(len(content))})
    exchange.body(content)


def _refuse(exchange: Exchange, content: bytes) -> None:
    body = json.dumps({"why": "not yours"}).encode()
    exchange.head(403, {"Content-Length": str(len(body))})
    exchange.body(body)
