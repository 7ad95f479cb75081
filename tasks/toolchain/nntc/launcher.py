"""The small programs by which the commands of tpu-nntc are started where they are. Pure: texts only.

They lie in a folder `bin/`, like the programs of tpu-mlir's environment, so that `tasks.toolchain.run` starts both
alike, and the command line in the evidence is the one that somebody would type in the vendor's container.

How the container is started follows "TPU-NNTC" in `docs/Environment_Install_Guide.md` of sophgo/sophon-demo (commit
749385162f): the unpacked archive is mounted, and `scripts/envsetup.sh` is read in its folder before anything else.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from tasks.toolchain.nntc.command import LIMIT

PROGRAMS = ("python3", "bmnetu")
"""What the commands call."""

SETUP = "scripts/envsetup.sh"
INSIDE = "/tpu-nntc"
ENDED = "centernet-sophon: the preparation ended the shell"
"""What is said where `scripts/envsetup.sh` exits, and so nothing comes after it."""

# As the guide has it: in the archive's folder, by bash, and without arguments, as the script would take the command's
# for its own. What it ends in says nothing, such as a last line that tests something; the look at what is there, and
# what a command leaves, say whether it has prepared anything.
_SOURCED = (
    'nntc_archive=$1; shift; nntc_command=("$@"); nntc_folder=$PWD; set --; '
    'cd "$nntc_archive"; trap "echo {ended}" EXIT; source {setup}; trap - EXIT; '
    'cd "$nntc_folder" || exit; exec {program} "${{nntc_command[@]}}"'
)
_PATH = "/usr/local/bin:/usr/bin:/bin"
_GRACE_S = 10
_LONGEST_S = 7 * 24 * 3600


def in_image(program: str, docker: str, image: str, folder: Path | None) -> str:
    """Write the program that runs one of tpu-nntc's in a container.

    The container sees the scratch folder and the archive, which it cannot write, and no network; what it leaves belongs
    to who runs this. A container outlives the client that started it, where that is killed: it has a limit of its own.

    Args:
        program: Name of the program in the image.
        docker: Path of docker's client.
        image: Id of the image, so that a name that is given to another one is not followed.
        folder: The unpacked archive; None where the image needs no preparation.

    Returns:
        A shell script.
    """
    mounted = [] if folder is None else ["--volume", f"{folder}:{INSIDE}:ro"]
    run = [docker, "run", "--rm", "--init", "--pull=never", "--network=none", *mounted]
    scratch = [
        "--workdir=/scratch",
        "--env=HOME=/scratch",
        "--env=TMPDIR=/scratch",
        "--env=LANG",
        "--env=OMP_NUM_THREADS",
    ]
    inside = [image, "timeout", f"--kill-after={_GRACE_S}"]
    return _script(
        f"exec {shlex.join(run)}",
        '--user "$(id -u):$(id -g)" --volume "$PWD:/scratch"',
        shlex.join(scratch),
        f'{shlex.join(inside)} "${{{LIMIT}:-{_LONGEST_S}}}"',
        f'{_prepared(program, None if folder is None else INSIDE)} "$@"',
    )


def in_place(program: str, python: Path, folder: Path | None) -> str:
    """Write the program that runs one of tpu-nntc's on this machine.

    Args:
        program: Its name.
        python: The Python that has the modules; other programs are looked for beside it first.
        folder: The unpacked archive; None where the Python needs no preparation.

    Returns:
        A shell script. It does not look for programs where it lies itself.
    """
    found = str(python) if program == "python3" else program
    return _script(
        f"export PATH={shlex.quote(str(python.parent))}:{_PATH}",
        None,
        f'exec {_prepared(found, None if folder is None else str(folder))} "$@"',
    )


def _prepared(program: str, archive: str | None) -> str:
    if archive is None:
        return shlex.quote(program)
    text = _SOURCED.format(setup=SETUP, ended=ENDED, program=shlex.quote(program))
    return shlex.join(["bash", "-c", text, "tpu-nntc", archive])


def _script(*parts: str | None) -> str:
    lines: list[list[str]] = [[]]
    for part in parts:
        if part is None:
            lines.append([])
        else:
            lines[-1].append(part)
    body = "\n".join(" \\\n  ".join(line) for line in lines)
    return f"#!/bin/sh\n# Made by centernet-sophon; written anew when it is changed.\n{body}\n"
