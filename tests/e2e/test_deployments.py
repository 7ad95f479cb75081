"""The deployments as they are, with the real compiler: deployed by Prefect's own command, and each run to its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.evidence import evidence_of
from artifacts.reference import parse_reference
from artifacts.registry import open_registry
from tasks.toolchain.provision import cache_root
from tests.flows.folder import BuildFolder
from tests.flows.served import Serving, ask, end_of

pytestmark = pytest.mark.compiler

# One sixteenth of the sample's input and one variant: what is looked at here is the way around the compiler.
PROFILE = """
extends = "sample"
matrix = [{{chip = "BM1688", precisions = ["fp32"]}}]
preprocess = {{width = 64, height = 64}}
[evaluation]
source = {{kind = "generated", count = 2}}
[simulator]
images = 1
skip = []
[gate]
max_ap_drop = 0.5
"""


def test_build_watch_and_validation_run_from_their_forms(tmp_path: Path, toolchain: object) -> None:
    build = BuildFolder(tmp_path, cache_root(), PROFILE)
    profile = str(build.profile)
    with Serving(tmp_path / "home").running() as serving, serving.client() as client:
        # The service did so already; a second time changes nothing.
        done = serving.command("prefect", "--no-prompt", "deploy", "--all", PREFECT_API_URL=serving.api_url)
        assert done.returncode == 0 and len(client.read_deployments()) == 5, done.stdout + done.stderr

        built = end_of(client, ask(client, "build/sample", profile_file=profile))
        assert built.state_name == "Completed", built.state
        # The release on which this rests is made by this very compiler: there is nothing to do, and it says so.
        watched = end_of(
            client,
            ask(client, "watch/watch", profile_file=profile, compiler=build.release.provenance.toolchain.version),
        )
        assert watched.state_name == "Completed" and "nothing new" in str(watched.state and watched.state.message)
        found = end_of(client, ask(client, "validate/release", profile_file=profile, limit=1, chip="BM1688"))
        assert found.state_name == "Completed", found.state

    reference = parse_reference(f"oci:{build.folder / 'registry'}:latest")
    with open_registry(reference) as registry:
        digest, _ = registry.resolve(reference.name)
        assert digest == build.digest
        assert [one.device for one in evidence_of(registry, digest)] == ["simulator"]
