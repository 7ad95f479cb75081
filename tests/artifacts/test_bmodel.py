from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, List, NamedTuple, Union

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.bmodel import BmodelInfo, TensorInfo, content_digest, normalisable, normalised, read_bmodel
from artifacts.bmodel_content import content_of
from artifacts.errors import BmodelError
from artifacts.flatbuffer import root_table
from tests.artifacts.bmodel_files import Tab, assemble, built_bmodel, flatbuffer, model_table, real_bmodel, tensor


def written(folder: Path, data: bytes) -> Path:
    path = folder / "model.bmodel"
    path.write_bytes(data)
    return path


def read(folder: Path, data: bytes) -> BmodelInfo:
    return read_bmodel(written(folder, data))


def test_a_compiled_file_reads_as_the_vendors_tool_reads_it(tmp_path: Path) -> None:
    info = read(tmp_path, real_bmodel("bm1684_int8"))
    assert (info.chip, info.version, info.core_num) == ("BM1684", "B.2.2+v1.30.2-20260831", 1)
    assert info.time == "Sun Nov 22 14:18:33 2026"
    memory = info.device_memory
    assert (memory.weight, memory.instruction, memory.runtime, memory.io) == (16384, 4096, 65536, 0)
    assert memory.total == 86016
    assert info.kernel_module_bytes == 0
    assert info.weight_sha256_ok
    [net] = info.nets
    [stage] = net.stages
    assert net.name == "tiny"
    assert stage.inputs == (TensorInfo(name="input.1", dtype="float32", shape=(1, 3, 32, 32)),)
    assert stage.outputs == (TensorInfo(name="31_f32", dtype="float32", shape=(1, 4, 16, 16)),)


def test_quantised_inputs_and_outputs_keep_the_full_precision_of_their_scales(tmp_path: Path) -> None:
    info = read(tmp_path, real_bmodel("bm1684_int8_qio"))
    [stage] = info.nets[0].stages
    assert (stage.inputs[0].dtype, stage.outputs[0].dtype) == ("int8", "int8")
    assert stage.inputs[0].scale == pytest.approx(36.712822, abs=1e-6)
    assert stage.outputs[0].scale == pytest.approx(0.00579978, abs=1e-8)
    assert info.device_memory.runtime == 44032  # int8 needs one byte an element in BM1684's conversion buffer


def test_both_cores_and_a_separate_io_space_are_counted(tmp_path: Path) -> None:
    info = read(tmp_path, built_bmodel(cores=2))
    assert info.core_num == 2
    assert info.device_memory.instruction == 2 * (256 + 128)
    assert info.device_memory.runtime == 4096  # ctx_sizes stands in for ctx_size
    assert info.device_memory.io == 4 * (3 * 8 * 8 + 84 * 2 * 2)


@pytest.mark.parametrize("parts", [0, 16])
def test_parts_that_the_hosts_processor_computes_are_counted(tmp_path: Path, parts: int) -> None:
    assert read(tmp_path, built_bmodel(host=parts)).nets[0].stages[0].host_parts == parts


@pytest.mark.parametrize(
    ("code", "name"), [(0, "float32"), (1, "float16"), (3, "uint8"), (8, "bfloat16"), (10, "uint4")]
)
def test_each_data_type_has_its_name(tmp_path: Path, code: int, name: str) -> None:
    assert read(tmp_path, built_bmodel(dtype=code)).nets[0].stages[0].inputs[0].dtype == name


def test_a_flipped_weight_byte_is_noticed(tmp_path: Path) -> None:
    data = bytearray(real_bmodel("bm1684_int8"))
    data[64 + struct.unpack_from("<I", data, 8)[0] + 5000] ^= 1
    assert not read(tmp_path, bytes(data)).weight_sha256_ok


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("empty", lambda data: b"", "less than the header"),
        ("other file", lambda data: b"PK\3\4" + data[4:], "instead of 0xff55aaee"),
        ("cut short", lambda data: data[:-1], "header, description, binary part"),
        ("too long", lambda data: data + b"x", "header, description, binary part"),
        ("no header size", lambda data: data[:4] + bytes(4) + data[8:], "its header says"),
        ("huge description", lambda data: data[:8] + b"\xff" * 4 + data[12:], "its description would have"),
        ("root outside", lambda data: data[:64] + b"\xf0\xff\xff\x7f" + data[68:], "points to byte"),
    ],
)
def test_a_damaged_file_is_refused_with_its_name(tmp_path: Path, name: str, damage: object, message: str) -> None:
    path = written(tmp_path, damage(real_bmodel("bm1684_int8")))  # type: ignore[operator]
    for reader in (read_bmodel, content_digest):
        with pytest.raises(BmodelError, match=message) as caught:
            reader(path)
        assert str(path) in str(caught.value)
    with pytest.raises(BmodelError, match=message):
        normalised(path.read_bytes())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": 11}, "unknown data type 11"),
        ({"scale": float("nan")}, "the scale nan"),
        ({"dims": 5}, "9 dimensions"),
        ({"chip": ""}, "names no chip"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(tmp_path: Path, changes: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(BmodelError, match=message):
        read(tmp_path, built_bmodel(**changes))


def test_a_file_without_a_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BmodelError, match="holds no network"):
        read(tmp_path, assemble(flatbuffer(Tab({3: "BM1688", 2: "now"})), b""))


def test_weights_beyond_the_binary_part_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BmodelError, match="its weights end at byte 128"):
        read(tmp_path, assemble(flatbuffer(model_table(bytes(128))), bytes(100)))


def test_a_small_file_whose_offsets_all_share_one_large_table_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, assemble(_bomb(), b""))
    for reader in (read_bmodel, content_digest):
        with pytest.raises(BmodelError, match="would not end soon"):
            reader(path)


def _bomb() -> bytes:
    """Return a buffer of one net whose 250 stages are one and the same, with 250 tensors each."""
    tensors = [tensor("t", [1, 1, 1, 1]) for _ in range(250)]
    net = Tab({0: "n", 3: [Tab({0: tensors, 1: tensors})] + [Tab()] * 249})
    data = bytearray(flatbuffer(Tab({3: "BM1688", 4: [net]})))
    [written_net] = root_table(bytes(data)).tables(4)
    place = written_net.place(3, 4)
    assert place is not None
    stages = place + struct.unpack_from("<I", data, place)[0]
    first = stages + 4 + struct.unpack_from("<I", data, stages + 4)[0]
    for slot in range(stages + 4, stages + 4 + 4 * 250, 4):
        struct.pack_into("<I", data, slot, first - slot)
    return bytes(data)


def test_a_text_longer_than_the_buffer_is_refused() -> None:
    data = bytearray(flatbuffer(Tab({3: "BM1688"})))
    length = data.index(b"BM1688") - 4
    struct.pack_into("<I", data, length, 1000)
    with pytest.raises(BmodelError, match="a vector of 1000 items"):
        root_table(bytes(data)).text(3)


def test_two_compilations_of_the_same_thing_have_one_content_digest(tmp_path: Path) -> None:
    first, again = real_bmodel("bm1684_int8"), real_bmodel("bm1684_int8_again")
    assert sum(a != b for a, b in zip(first, again)) > 500  # the uninitialised word was 0 once, and so left out
    digests = {content_digest(written(tmp_path, data)) for data in (first, again)}
    assert len(digests) == 1
    assert content_digest(written(tmp_path, real_bmodel("bm1684_int8_qio"))) not in digests


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"time": "Mon Jan  1 00:00:00 2024\n"}, True),
        ({"mode": 7}, False),  # initialised on this chip, so it means something
        ({"scale": 2.0}, False),
        ({"cores": 2}, False),
        ({"chip": "BM1684X"}, False),
    ],
)
def test_only_the_time_is_left_out_of_the_content_digest(tmp_path: Path, changes: dict, same: bool) -> None:  # type: ignore[type-arg]
    plain = content_digest(written(tmp_path, built_bmodel()))
    assert (content_digest(written(tmp_path, built_bmodel(**changes))) == plain) is same


def test_a_byte_of_the_binary_part_changes_the_content_digest(tmp_path: Path) -> None:
    data = bytearray(built_bmodel())
    plain = content_digest(written(tmp_path, bytes(data)))
    data[-1] ^= 1
    assert content_digest(written(tmp_path, bytes(data))) != plain


def test_a_field_newer_than_the_schema_is_told_by_its_presence() -> None:
    fields = model_table(b"w")
    newer = Tab({**fields, 12: ("Q", 3)})
    assert content_of(root_table(flatbuffer(newer)))["newer"] == [12]
    assert "newer" not in content_of(root_table(flatbuffer(fields)))


def test_an_explicit_default_says_the_same_as_none() -> None:
    plain = content_of(root_table(flatbuffer(Tab({3: "BM1688"}))))
    assert content_of(root_table(flatbuffer(Tab({3: "BM1688", 5: ("Q", 0), 0: ""})))) == plain


def test_normalising_takes_time_and_the_uninitialised_word_out_and_keeps_the_file_valid(tmp_path: Path) -> None:
    data = real_bmodel("bm1684_int8_qio")
    result = normalised(data)
    assert normalised(result) == result
    assert len(result) == len(data)
    assert 4 <= sum(a != b for a, b in zip(data, result)) <= 28
    assert content_of(root_table(data[64:]))["6"]["2"] == -850196560
    assert "2" not in content_of(root_table(result[64:]))["6"]
    info = read(tmp_path, result)
    assert info.time == "Thu Jan  1 00:00:00 1970"
    assert info.weight_sha256_ok
    assert content_digest(written(tmp_path, result)) == content_digest(written(tmp_path, data))


@pytest.mark.parametrize(
    "time", ["Sun Nov 22 14:18:29 2026", "Sun Nov 22 14:18:29 2026\n", "2026\n", "", "a" * 40 + "\n"]
)
def test_a_time_of_any_length_keeps_its_length_and_newline(tmp_path: Path, time: str) -> None:
    result = normalised(built_bmodel(time=time))
    assert normalised(result) == result
    text = content_of(root_table(result[64:]))
    assert len(text.get("2", "")) == len(time)
    assert text.get("2", "").endswith("\n") == time.endswith("\n")


def test_two_times_normalise_to_equal_bytes() -> None:
    assert normalised(built_bmodel()) == normalised(built_bmodel(time="Mon Jan  1 00:00:00 2024\n"))


def test_only_a_file_of_bm1684_without_the_unset_word_cannot_be_made_equal() -> None:
    # The same network, compiled twice.
    assert [normalisable(real_bmodel(name)) for name in ("bm1684_int8", "bm1684_int8_again")].count(True) == 1
    assert normalisable(built_bmodel(chip="BM1688"))


class Judged(NamedTuple):
    """What each reader makes of some bytes: its result, or the reason why it refuses them."""

    info: Union[BmodelInfo, str]
    digest: str
    plain: Union[bytes, str]

    def without_time(self) -> Union[BmodelInfo, str]:
        return self.info if isinstance(self.info, str) else self.info.model_copy(update={"time": ""})


def judged(path: Path, data: bytes) -> Judged:
    path.write_bytes(data)
    found: List[Any] = []
    for action in (lambda: read_bmodel(path), lambda: content_digest(path), lambda: normalised(data)):
        try:
            found.append(action())
        except BmodelError as error:
            found.append(error.reason)
    return Judged(*found)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(changes=st.lists(st.tuples(st.integers(0, 64 + 4031), st.integers(0, 255)), min_size=1, max_size=8))
def test_flipped_bytes_are_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    path, original = tmp_path_factory.getbasetemp() / "flipped.bmodel", real_bmodel("bm1684_int8")
    data = bytearray(original)
    for place, value in changes:
        data[place] = value
    sound, flipped = judged(path, original), judged(path, bytes(data))
    assert all(flipped), "something was refused without a reason"
    assert judged(path, bytes(data)) == flipped
    if flipped.digest == sound.digest:
        assert flipped.without_time() == sound.without_time()
    if flipped.digest.startswith("sha256:"):
        assert isinstance(flipped.plain, bytes) or flipped.plain == "it has no time of compilation"


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    place=st.integers(0, 1000),
    value=st.sampled_from([0, 1, 4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC, 0x10000]),
    cores=st.sampled_from([1, 2]),
)
def test_wild_offsets_are_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int, cores: int
) -> None:
    path, original = tmp_path_factory.getbasetemp() / "wild.bmodel", built_bmodel(cores=cores)
    data = bytearray(original)
    struct.pack_into("<I", data, min(64 + 4 * place, len(data) - 4), value)
    sound, wild = judged(path, original), judged(path, bytes(data))
    assert all(wild), "something was refused without a reason"
    assert judged(path, bytes(data)) == wild
    if wild.digest == sound.digest:
        assert wild.without_time() == sound.without_time()
    if wild.digest.startswith("sha256:"):
        assert isinstance(wild.plain, bytes) or wild.plain == "it has no time of compilation"


@settings(max_examples=100, deadline=None, derandomize=True)
@given(length=st.integers(0, 5000))
def test_a_description_cut_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    data = real_bmodel("bm1684_int8")
    path = tmp_path_factory.getbasetemp() / "cut.bmodel"
    path.write_bytes(assemble(data[64 : 64 + length % 4032], b""))
    with pytest.raises(BmodelError):
        read_bmodel(path)
