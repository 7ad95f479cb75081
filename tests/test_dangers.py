"""What product code never does: shell strings, code out of data, checks that -O removes. Read from the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("artifacts", "inference", "settings", "tasks", "flows")

FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__",
    "os.system", "os.popen", "os.tempnam", "subprocess.getoutput", "subprocess.getstatusoutput",
    "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads", "shelve.open",
    "cloudpickle.load", "cloudpickle.loads", "joblib.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load",
    "tempfile.mktemp", "ssl._create_unverified_context", "shutil.unpack_archive",
}  # fmt: skip
STARTERS = {"run", "Popen", "call", "check_call", "check_output"}
FORBIDDEN_WORDS = {"0.0.0.0": "listens to the network", "::": "listens to the network"}

# What is done on purpose, and why it may be; each entry has to be there.
ALLOWED = {
    # A step's order from Dask, whose own protocol is pickle: who reaches the scheduler runs code anyway (scale.md).
    ("flows/cluster/remote.py", "calls pickle.loads"): 2,
    # Our own source, sent by us to the device's Python.
    ("tasks/devices/agent.py", "holds a program that calls exec"): 1,
}


def dangers(source: str) -> Iterator[str]:
    """Everything in a module that should not be there."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield from in_call(node)
        elif isinstance(node, ast.Assert) and not narrows(node.test):
            yield f"asserts {ast.unparse(node.test)}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value in FORBIDDEN_WORDS:
                yield FORBIDDEN_WORDS[node.value]
            # A docstring has spaces around; a program in a string does not.
            if found := re.search(r"\b(exec|eval)\(sys", node.value):
                yield f"holds a program that calls {found[1]}"
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "ssl.CERT_NONE":
            yield "takes any certificate"


def in_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if name in FORBIDDEN_CALLS:
        yield f"calls {name}"
    if given.get("shell", "False") != "False":
        yield "gives a command to a shell"
    if given.get("verify") == "False" or given.get("check_hostname") == "False":
        yield "takes any certificate"
    if given.get("allow_pickle", "False") != "False":
        yield "unpickles arrays"
    if name == "torch.load" and given.get("weights_only") != "True":
        yield "unpickles a checkpoint"
    if name.endswith((".extractall", ".extract")):
        yield f"takes paths from an archive: {name}"
    if name in {f"subprocess.{starter}" for starter in STARTERS} and node.args and is_text(node.args[0]):
        yield "starts a command that is one text"


def is_text(node: ast.expr) -> bool:
    joined = isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".join", ".format", "str"))
    constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
    made = isinstance(node, ast.BinOp) and (is_text(node.left) or is_text(node.right))
    return joined or constant or made or isinstance(node, ast.JoinedStr)


def narrows(test: ast.expr) -> bool:
    """Whether an assertion only tells the type checker what is known; a check of input has to survive `python -O`."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return all(map(narrows, test.values))
    if isinstance(test, ast.Compare):
        return ast.unparse(test).endswith(" is not None")
    return isinstance(test, ast.Call) and ast.unparse(test.func) == "isinstance"


def test_no_module_of_the_product_does_what_is_dangerous() -> None:
    found: dict[tuple[str, str], int] = {}
    modules = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    for path in modules:
        for danger in dangers(path.read_text()):
            entry = (path.relative_to(ROOT).as_posix(), danger)
            found[entry] = found.get(entry, 0) + 1
    assert len(modules) > 250
    assert found == ALLOWED


@pytest.mark.parametrize(
    "line",
    [
        "subprocess.run(command, shell=True)",
        "subprocess.run(command, shell=wanted)",
        "os.system(command)",
        "os.popen(command)",
        "subprocess.Popen(f'ls {folder}')",
        "subprocess.run('ls ' + folder, check=True)",
        "subprocess.check_output(' '.join(argv))",
        "subprocess.getoutput('ls')",
        "eval(text)",
        "exec(text)",
        "pickle.load(stream)",
        "pickle.loads(data)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "tempfile.mktemp()",
        "session.get(url, verify=False)",
        "context.verify_mode = ssl.CERT_NONE",
        "archive.extractall(folder)",
        "assert size > 0, 'empty'",
        "assert name in names",
        "server.bind(('0.0.0.0', 80))",
        "BOOT = 'import sys; exec(sys.argv[1])'",
    ],
)
def test_each_danger_is_seen(line: str) -> None:
    assert len(list(dangers(line))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "subprocess.run([*command, 'x'], shell=False)",
        "subprocess.Popen(command, env=environment)",
        "torch.load(path, weights_only=True)",
        "network.eval()",
        "assert found is not None and isinstance(state, State)",
        "re.compile(pattern)",
        "'127.0.0.1'",
    ],
)
def test_what_is_harmless_is_left_alone(line: str) -> None:
    assert list(dangers(line)) == []


def test_the_makefile_starts_nothing_that_comes_from_the_network() -> None:
    text = (ROOT / "Makefile").read_text()
    assert not re.search(r"curl|wget|\| *(ba)?sh\b|eval|--trusted-host|http:", text)
