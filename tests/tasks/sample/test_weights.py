"""The weights that ship with the project do what the log beside them says."""

from __future__ import annotations

import re

from tasks.network import build_network
from tasks.network.checkpoint import load_checkpoint
from tasks.sample import NETWORK, NUM_CLASSES, WEIGHTS, WIDTH
from tasks.sample.evaluate import evaluate, torch_predictor


def test_the_shipped_weights_are_small_and_find_unseen_shapes() -> None:
    assert WEIGHTS.stat().st_size < 3_000_000
    network = build_network(NETWORK, WIDTH, NUM_CLASSES)
    info = load_checkpoint(WEIGHTS, network)
    assert info.epoch is not None
    measured = evaluate(torch_predictor(network), count=16, seed=0)
    assert measured.ap is not None
    assert measured.ap >= 0.55


def test_the_log_tells_the_accuracy_on_all_evaluation_scenes() -> None:
    log = WEIGHTS.with_name("training.log").read_text(encoding="utf-8")
    stated = re.search(r"COCO AP@\[\.5:\.95\] (0\.\d+)", log)
    assert stated is not None
    assert float(stated.group(1)) >= 0.60
