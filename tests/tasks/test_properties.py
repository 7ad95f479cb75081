"""What holds of the build's pure parts, whatever they are given."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from artifacts.digest import digest_bytes
from artifacts.measurements import Loss
from artifacts.store import Blob
from settings.gate import GateSettings
from tasks import journal
from tasks.errors import GraphError, MirrorFailure
from tasks.gate import stands
from tasks.journal import Entry, Outcome
from tasks.keys import changes, key_fields, key_of
from tasks.sources import rules
from tasks.sources.rules import Resume
from tasks.toolchain import graph
from tasks.toolchain import rules as float_rules
from tasks.workspace import Workspace
from tests.tasks.results import INT8, heads, measured

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.none() | st.booleans() | NUMBERS | st.text(max_size=5)
PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126))
NAMES = st.from_regex(r"[a-z]{1,4}", fullmatch=True)
ARGUMENTS = st.dictionaries(
    NAMES, PLAIN | st.lists(PLAIN, max_size=3).map(tuple) | st.dictionaries(NAMES, PLAIN, max_size=3), max_size=5
)


def _key(arguments: dict[str, Any]) -> str:
    return key_of(key_fields("step", 1, arguments))


@given(ARGUMENTS, st.randoms())
def test_the_order_of_arguments_makes_no_other_key(arguments: dict[str, Any], dice: Any) -> None:
    names = list(arguments)
    dice.shuffle(names)
    assert _key({name: arguments[name] for name in names}) == _key(arguments)


@given(ARGUMENTS, ARGUMENTS)
def test_keys_are_equal_where_the_facts_are(one: dict[str, Any], other: dict[str, Any]) -> None:
    before, after = key_fields("step", 1, one), key_fields("step", 1, other)
    told = changes(before, after)
    same = not told and all(type(before[name]) is type(after[name]) for name in before)
    # What only differs in its type (1, 1.0, True) is another text in the key, and is not told as a change.
    assert (_key(one) == _key(other)) == same or (not told and _key(one) != _key(other))


@given(st.binary(max_size=3), st.binary(max_size=3), st.integers(0, 9))
def test_a_blob_goes_by_its_digest_alone(one: bytes, other: bytes, size: int) -> None:
    keys = [_key({"a": Blob(digest=digest_bytes(data), size=size + n)}) for n, data in enumerate((one, other))]
    assert (keys[0] == keys[1]) == (one == other)


@given(st.floats(-1, 1), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 0.1), st.floats(0, 0.1))
def test_losing_less_is_never_judged_worse(drop: float, below: float, above: float, less: float, surer: float) -> None:
    worse = Loss(drop=drop, low=drop - below, high=drop + above, images=100)
    better = Loss(drop=drop - less, low=drop - less - below, high=drop - less + max(0.0, above - surer), images=100)

    def passes(loss: Loss) -> bool:
        mine, reference = measured(None, INT8, 0.5, distances=heads()), measured(None, None, 0.5)
        return not stands("int8", mine, loss, reference, GateSettings()).reasons

    assert passes(better) or not passes(worse)


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.text(max_size=5))
def test_what_is_asked_for_is_just_what_is_missing(have: int, more: int, mark: str) -> None:
    size = have + more
    headers = rules.request_headers(Resume(have=have, validator=mark or None), size)
    asked = headers.get("Range", f"bytes=0-{size - 1}").removeprefix("bytes=").split("-")
    assert (int(asked[0]), int(asked[1])) == (have, size - 1)
    answer = CaseInsensitiveDict({"content-range": f"bytes {have}-{size - 1}/{size}", "ETag": mark})
    body = rules.judge(206, answer, Resume(have=have), size, 0.0)
    assert (body.offset, body.total) == (have, size)


HEADERS = st.sampled_from(["Content-Range", "Retry-After", "Content-Length", "ETag", "Location"])


@given(st.dictionaries(HEADERS, st.text()), st.integers(100, 599), st.integers(0, 3))
def test_any_headers_are_believed_or_refused(headers: dict[str, str], status: int, have: int) -> None:
    try:
        body = rules.judge(status, CaseInsensitiveDict(headers), Resume(have=have), None, 0.0)
    except MirrorFailure:
        return
    assert body.offset in (0, have) and status in (200, 206)


ENTRIES = st.builds(
    Entry,
    slot=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
    step=st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    outcome=st.sampled_from(Outcome),
    changed=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=3).map(tuple),
    time=st.floats(0, 4e9),
)


@given(st.lists(ENTRIES, max_size=6), st.integers(0, 400))
def test_a_journal_gives_back_every_whole_line(entries: list[Entry], cut: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        workspace = Workspace(store=name, cache=name)
        for entry in entries:
            journal.append(workspace, "run", entry)
        assert journal.read(workspace, "run") == tuple({entry.slot: entry for entry in entries}.values())
        path = Path(workspace.journals) / "run.jsonl"
        if entries:
            path.write_bytes(path.read_bytes()[:cut])
        whole = sum(1 for _ in path.read_bytes().split(b"\n")[:-1]) if entries else 0
        kept = tuple({entry.slot: entry for entry in entries[:whole]}.values())
        assert journal.read(workspace, "run")[: len(kept)] == kept


LAYERS = st.lists(
    st.tuples(
        st.sampled_from(["top.Conv", "top.Deconv", "top.Relu", "top.Concat"]), st.lists(st.integers(0, 30), max_size=4)
    ),
    min_size=1,
    max_size=12,
)


@given(
    LAYERS,
    st.lists(st.integers(1, 64), min_size=1, max_size=4),
    st.text(st.characters(min_codepoint=32, max_codepoint=126)),
)
def test_a_graph_is_read_as_it_was_written(layers: list[Any], shape: list[int], name: str) -> None:
    tensor = f"tensor<{'x'.join(map(str, shape))}xf32>"
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    lines = [
        'module @a attributes {module.weight_file = "w.npz"} {',
        f'%0 = "top.Input"(%arg0) : ({tensor}) -> {tensor} loc(#loc1)',
    ]
    for number, (kind, inputs) in enumerate(layers, 1):
        operands = ", ".join(f"%{one % number}" for one in inputs)
        lines.append(f'%{number} = "{kind}"({operands}) {{a = 1}} : ({tensor}) -> {tensor} loc("{quoted}{number}")')
    lines += [f"return %{len(layers)} : {tensor} loc(#loc)", '#loc1 = loc("x")']
    read = graph.parse("\n".join(lines))
    assert [one.kind for one in read.operations.values()] == ["top.Input", *(kind for kind, _ in layers)]
    assert all(one.shape == tuple(shape) for one in read.operations.values())
    assert read.operations[f"%{len(layers)}"].name == f"{name}{len(layers)}" and read.outputs == (f"%{len(layers)}",)
    found = float_rules.tensors(read)
    assert all(set(readers) <= read.layer_names for readers in found.values())
    assert set(float_rules.up_sampling(read)) <= read.layer_names
    try:
        assert graph.head_tail(read)[0] == f"{name}{len(layers)}"
    except GraphError:
        return


@given(st.integers(1, 999))
def test_results_of_one_operation_are_told_apart(count: int) -> None:
    types = ", ".join(["tensor<2xf32>"] * count)
    text = f'module.weight_file = "w"\n%0:{count} = "top.Split"() : () -> ({types}) loc("a")\nreturn %0#0 : x'
    assert len(graph.parse(text).operations) == count


@pytest.mark.parametrize("count", ["1000", "999999999999"])
def test_results_without_number_are_refused(count: str) -> None:
    with pytest.raises(GraphError):
        graph.parse(f'module.weight_file = "w"\n%0:{count} = "top.Split"() : () -> (none) loc("a")\nreturn %0#0 : x')
