"""A checkpoint is loaded whole or refused whole."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tasks.errors import CheckpointError
from tasks.network import build_network
from tasks.network.checkpoint import MAX_BYTES, load_checkpoint
from tests.tasks.network.weights import fill

WIDTH = 0.125


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(1)
    return build_network("dlav0_34", WIDTH)


@pytest.fixture
def trained() -> dict[str, Tensor]:
    torch.manual_seed(2)
    return dict(build_network("dlav0_34", WIDTH).state_dict())


def _saved(path: Path, content: object, **options: bool) -> Path:
    torch.save(content, path, **options)
    return path


def _holds(network: nn.Module, state: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def _refusal(path: Path, network: nn.Module) -> CheckpointError:
    """The error, after a look that the network was left alone."""
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, network)
    assert _holds(network, before)
    assert str(path) in str(caught.value)
    return caught.value


def test_the_originals_layout_gives_epoch_and_weights(
    tmp_path: Path, network: nn.Module, trained: dict[str, Tensor]
) -> None:
    info = load_checkpoint(_saved(tmp_path / "w.pth", {"epoch": 140, "state_dict": trained}), network)
    assert info.epoch == 140
    assert info.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert _holds(network, trained)


def test_a_file_of_the_years_before_zip_with_optimiser_and_parallel_keys_loads(
    tmp_path: Path, network: nn.Module, trained: dict[str, Tensor]
) -> None:
    optimiser = torch.optim.Adam(network.parameters())
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    parallel = OrderedDict((f"module.{key}", value) for key, value in trained.items())
    content = {"epoch": 140, "state_dict": parallel, "optimizer": optimiser.state_dict()}
    path = _saved(tmp_path / "w.pth", content, _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(path)
    assert load_checkpoint(path, network).epoch == 140
    assert _holds(network, trained)


def test_a_bare_state_dict_loads_and_has_no_epoch(
    tmp_path: Path, network: nn.Module, trained: dict[str, Tensor]
) -> None:
    assert load_checkpoint(_saved(tmp_path / "w.pth", trained), network).epoch is None
    assert _holds(network, trained)


def test_half_precision_weights_are_widened(tmp_path: Path, network: nn.Module, trained: dict[str, Tensor]) -> None:
    half = {key: value.half() if value.is_floating_point() else value for key, value in trained.items()}
    load_checkpoint(_saved(tmp_path / "w.pth", {"epoch": 1, "state_dict": half}), network)
    loaded = network.state_dict()
    assert loaded["hm.2.weight"].dtype == torch.float32
    assert torch.equal(loaded["hm.2.weight"], half["hm.2.weight"].float())


def test_counters_that_old_torch_did_not_keep_may_be_missing(
    tmp_path: Path, network: nn.Module, trained: dict[str, Tensor]
) -> None:
    old = {key: value for key, value in trained.items() if not key.endswith("num_batches_tracked")}
    load_checkpoint(_saved(tmp_path / "w.pth", old), network)
    assert torch.equal(network.state_dict()["hm.2.weight"], trained["hm.2.weight"])


def test_all_misfits_are_named_together_ten_of_each(
    tmp_path: Path, network: nn.Module, trained: dict[str, Tensor]
) -> None:
    missing = [key for key in trained if key.startswith("base.level4") and key.endswith("running_mean")][:11]
    for key in missing:
        del trained[key]
    trained["surplus"] = torch.zeros(1)
    trained["reg.2.bias"] = torch.zeros(3)
    trained["wh.2.bias"] = torch.zeros(2, dtype=torch.int64)
    error = _refusal(_saved(tmp_path / "w.pth", trained), network)
    assert error.problems == {
        "missing": tuple(missing),
        "unknown": ("surplus",),
        "of another shape": ("reg.2.bias [3] instead of [2]",),
        "of another type": ("wh.2.bias torch.int64 instead of torch.float32",),
    }
    assert missing[9] in str(error)
    assert missing[10] not in str(error)
    assert "and 1 more" in str(error)


def test_another_width_is_recognised(tmp_path: Path, network: nn.Module) -> None:
    wider = build_network("dlav0_34", 2 * WIDTH).state_dict()
    assert "2 times the width" in str(_refusal(_saved(tmp_path / "w.pth", wider), network))


def test_another_number_of_classes_is_recognised(tmp_path: Path, network: nn.Module) -> None:
    other = build_network("dlav0_34", WIDTH, num_classes=20).state_dict()
    assert "20 classes" in str(_refusal(_saved(tmp_path / "w.pth", other), network))


def test_another_architecture_is_recognised(tmp_path: Path, network: nn.Module) -> None:
    other = {f"backbone.{key}": value for key, value in network.state_dict().items()}
    assert "another architecture" in str(_refusal(_saved(tmp_path / "w.pth", other), network))


def test_the_network_with_deformable_convolutions_is_recognised(
    tmp_path: Path, network: nn.Module, trained: dict[str, Tensor]
) -> None:
    trained["dla_up.ida_0.node_1.conv.conv_offset_mask.weight"] = torch.zeros(27, 32, 3, 3)
    assert "set network.name to dla_34" in str(_refusal(_saved(tmp_path / "w.pth", trained), network))


def test_the_network_without_deformable_convolutions_is_recognised(tmp_path: Path, trained: dict[str, Tensor]) -> None:
    deformable = build_network("dla_34", WIDTH)
    assert "set network.name to dlav0_34" in str(_refusal(_saved(tmp_path / "w.pth", trained), deformable))


def test_a_checkpoint_with_deformable_convolutions_is_read_whole(tmp_path: Path) -> None:
    saved, read = build_network("dla_34", WIDTH), build_network("dla_34", WIDTH)
    fill(saved)
    path = tmp_path / "w.pth"
    torch.save({"epoch": 230, "state_dict": {f"module.{k}": v for k, v in saved.state_dict().items()}}, path)
    assert load_checkpoint(path, read).epoch == 230
    assert all(torch.equal(value, saved.state_dict()[key]) for key, value in read.state_dict().items())


class _Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_is_refused_unrun(tmp_path: Path, network: nn.Module, zipped: bool) -> None:
    trap = tmp_path / "sprung"
    content = {"epoch": 1, "state_dict": {}, "extra": _Payload(trap)}
    path = _saved(tmp_path / "w.pth", content, _use_new_zipfile_serialization=zipped)
    assert "posix.mkdir" in str(_refusal(path, network))
    assert not trap.exists()


def test_a_plain_pickle_that_would_run_code_is_refused_unrun(tmp_path: Path, network: nn.Module) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps(_Payload(tmp_path / "sprung")))
    _refusal(path, network)
    assert not (tmp_path / "sprung").exists()


def test_a_whole_model_is_refused(tmp_path: Path, network: nn.Module) -> None:
    error = _refusal(_saved(tmp_path / "w.pth", network), network)
    assert "tasks.network.dla.DlaV0" in str(error)


@pytest.mark.parametrize("kept", [0.999, 0.5, 0.01])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cut_short_is_refused(
    tmp_path: Path, network: nn.Module, trained: dict[str, Tensor], kept: float, zipped: bool
) -> None:
    path = _saved(tmp_path / "w.pth", trained, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    assert "not a whole checkpoint" in str(_refusal(path, network))


def test_a_flipped_bit_among_the_weights_is_noticed(
    tmp_path: Path, network: nn.Module, trained: dict[str, Tensor]
) -> None:
    path = _saved(tmp_path / "w.pth", trained)
    damaged = bytearray(path.read_bytes())
    position = damaged.index(trained["hm.2.weight"].numpy().tobytes()) + 5
    damaged[position] ^= 0x04
    path.write_bytes(damaged)
    assert "not a whole checkpoint" in str(_refusal(path, network))


@pytest.mark.parametrize(
    "content",
    [
        b"<!DOCTYPE html><title>Sign in</title>",
        b"\x00" * 4096,
        b"PK\x03\x04 and then nothing",
        b"\x80\x02.",
        b"\x80\x02",
    ],
)
def test_another_kind_of_file_is_refused(tmp_path: Path, network: nn.Module, content: bytes) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    assert "not a whole checkpoint" in str(_refusal(path, network))


def test_an_empty_file_is_refused(tmp_path: Path, network: nn.Module) -> None:
    path = tmp_path / "w.pth"
    path.touch()
    assert "is empty" in str(_refusal(path, network))


def test_a_missing_file_is_refused(tmp_path: Path, network: nn.Module) -> None:
    assert "cannot be read" in str(_refusal(tmp_path / "none.pth", network))


def test_a_folder_is_refused(tmp_path: Path, network: nn.Module) -> None:
    assert "cannot be read" in str(_refusal(tmp_path, network))


def test_a_zip_that_unpacks_beyond_the_limit_is_refused_before_it_is_unpacked(
    tmp_path: Path, network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", bytes(1_000_000))
    assert path.stat().st_size < 10_000
    monkeypatch.setattr("tasks.network.checkpoint.MAX_BYTES", 100_000)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was read"))
    assert "1,000,000 bytes unpacked" in str(_refusal(path, network))
    assert MAX_BYTES == 2 * 1024**3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused(
    tmp_path: Path, network: nn.Module, trained: dict[str, Tensor], value: float
) -> None:
    trained["dla_up.ida_1.node_2.0.weight"] = trained["dla_up.ida_1.node_2.0.weight"].clone()
    trained["dla_up.ida_1.node_2.0.weight"][3, 1, 0, 2] = value
    error = _refusal(_saved(tmp_path / "w.pth", trained), network)
    assert error.problems == {"not finite": ("dla_up.ida_1.node_2.0.weight",)}


def test_double_weights_beyond_float32_are_refused(
    tmp_path: Path, network: nn.Module, trained: dict[str, Tensor]
) -> None:
    trained["hm.2.bias"] = torch.full((80,), 1e300, dtype=torch.float64)
    assert _refusal(_saved(tmp_path / "w.pth", trained), network).problems == {"not finite": ("hm.2.bias",)}


@pytest.mark.parametrize(
    "content",
    [
        [1, 2, 3],
        {},
        {"state_dict": {}},
        {"state_dict": [1]},
        {"epoch": 3},
        {"state_dict": {"hm.2.bias": [0.0, 1.0]}},
        {"state_dict": {7: torch.zeros(1)}},
        {"hm.2.bias": torch.zeros(80, device="meta")},
        {"hm.2.bias": torch.zeros(80).to_sparse()},
        torch.zeros(3),
    ],
)
def test_whatever_is_no_state_dict_is_refused(tmp_path: Path, network: nn.Module, content: object) -> None:
    assert "where a state_dict is expected" in str(_refusal(_saved(tmp_path / "w.pth", content), network))
