"""Decoding against a restatement of CenterNet's own in torch, on maps like real ones and on every kind of tie."""

from __future__ import annotations

from typing import List, Tuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from artifacts.release import PreprocessSpec
from inference.decode import Detections, decode
from inference.errors import ModelError, OptionError
from inference.preprocess import affine_from_output, affine_to_input

try:
    import torch
except ImportError:  # a device has none: the same steps in numpy then
    torch = None  # type: ignore[assignment]

SIZE = (480, 640)
SCORE_ULPS = 2.4e-7


def naive_peaks(heads: np.ndarray) -> np.ndarray:
    """Sigmoid and ``_nms`` of the original for one image: float32 [C, h, w], 0 where there is no peak."""
    if torch is None:
        return naive_peaks_in_numpy(heads)
    # torch's vector and scalar code differ in the last bit: without a rest for the latter, equal logits score alike.
    logits = heads[:-4]
    padded = torch.nn.functional.pad(torch.from_numpy(logits).reshape(-1), (0, -logits.size % 64))
    heat = padded.sigmoid()[: logits.size].reshape(1, *logits.shape)
    pooled = torch.nn.functional.max_pool2d(heat, 3, stride=1, padding=1)
    return np.asarray((heat * (pooled == heat).float())[0])


def naive_peaks_in_numpy(heads: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        heat = np.float32(1) / (np.float32(1) + np.exp(-heads[:-4]))
    padded = np.pad(heat, ((0, 0), (1, 1), (1, 1)))
    height, width = heat.shape[1:]
    windows = [padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return np.asarray(heat * (np.max(windows, axis=0) == heat))


def naive_boxes(heads: np.ndarray, locations: np.ndarray, size: Tuple[int, int], spec: PreprocessSpec) -> np.ndarray:
    """``ctdet_decode``'s boxes and ``ctdet_post_process``, one corner at a time: float32 [M, 4]."""
    height, width = heads.shape[1:]
    affine = affine_from_output(size, spec)
    boxes = np.zeros((len(locations), 4))
    for row, location in enumerate(locations):
        position = location % (height * width)
        w, h, dx, dy = heads[-4:].reshape(4, -1)[:, position]
        x = np.float32(position % width) + dx
        y = np.float32(position // width) + dy
        two = np.float32(2)
        for start, corner in enumerate([(x - w / two, y - h / two), (x + w / two, y + h / two)]):
            boxes[row, 2 * start : 2 * start + 2] = affine @ np.array([corner[0], corner[1], 1], np.float32)
    return boxes.astype(np.float32)


def naive_decode(heads: np.ndarray, size: Tuple[int, int], spec: PreprocessSpec, conf: float, top_k: int) -> Detections:
    """The whole original for one image, with ties in our documented order, which torch leaves open."""
    peaks = naive_peaks(heads).reshape(-1)
    order = np.argsort(-peaks, kind="stable")[:top_k]
    order = order[(peaks[order] > 0) & (peaks[order] >= np.float32(conf))]
    class_ids = order // (heads.shape[1] * heads.shape[2])
    return Detections(naive_boxes(heads, order, size, spec), peaks[order], class_ids.astype(np.int32))


def assert_same(found: Detections, expected: Detections) -> None:
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=SCORE_ULPS)
    np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, rtol=3e-7, atol=1e-4)
    assert found.boxes_xyxy.dtype == np.float32 and found.scores.dtype == np.float32
    assert found.class_ids.dtype == np.int32


def heads_of(logits: np.ndarray) -> np.ndarray:
    """A head tensor [1, C + 4, h, w] around these logits [C, h, w], with boxes of 2 x 3 cells and no offset."""
    regression = np.zeros((4, *logits.shape[1:]), np.float32)
    regression[0], regression[1] = 2, 3
    return np.concatenate([logits.astype(np.float32), regression])[None]


def scene(seed: int, objects: int = 25, classes: int = 80, cells: int = 128) -> np.ndarray:
    """A head tensor like a trained network's: smooth blobs of many sizes over a low, noisy background."""
    rng = np.random.default_rng(seed)
    heads = rng.normal(-6, 0.7, (1, classes + 4, cells, cells)).astype(np.float32)
    y, x = np.ogrid[:cells, :cells]
    for _ in range(objects):
        centre_y, centre_x, spread = rng.integers(cells), rng.integers(cells), rng.uniform(1, 6)
        blob = np.exp(-((y - centre_y) ** 2 + (x - centre_x) ** 2) / (2 * spread**2))
        plane = heads[0, rng.integers(classes)]
        np.maximum(plane, (-6 + rng.uniform(3, 9) * blob).astype(np.float32), out=plane)
    heads[:, classes : classes + 2] = rng.uniform(1, 60, (1, 2, cells, cells))
    heads[:, classes + 2 :] = rng.uniform(0, 1, (1, 2, cells, cells))
    return heads


@pytest.mark.parametrize("conf", [0.35, 0.01, 0.0])
@pytest.mark.parametrize("seed", range(3))
def test_maps_like_a_trained_networks_decode_as_in_centernet(seed: int, conf: float) -> None:
    heads = scene(seed)
    found = decode(heads, [SIZE], conf=conf)[0]
    assert_same(found, naive_decode(heads[0], SIZE, PreprocessSpec(), conf, 100))
    assert len(found) == 100 or conf > 0


@pytest.mark.parametrize("conf", [0.35, 0.0])
def test_pure_noise_decodes_as_in_centernet(conf: float) -> None:
    heads = np.random.default_rng(5).normal(-3, 1.5, (1, 84, 128, 128)).astype(np.float32)
    assert_same(decode(heads, [SIZE], conf=conf)[0], naive_decode(heads[0], SIZE, PreprocessSpec(), conf, 100))


@pytest.mark.skipif(torch is None, reason="compares with torch.topk")
def test_without_ties_the_selection_is_that_of_torch_topk() -> None:
    heads = scene(7)
    scores, indices = torch.topk(torch.from_numpy(naive_peaks(heads[0])).reshape(-1), 100)
    found = decode(heads, [SIZE], conf=0.0)[0]
    np.testing.assert_allclose(found.scores, scores.numpy(), rtol=0, atol=SCORE_ULPS)
    np.testing.assert_array_equal(found.class_ids, indices.numpy() // (128 * 128))


@st.composite
def head_tensors(draw: st.DrawFn) -> np.ndarray:
    """Small maps of few distinct logits, so that ties, plateaus, edges and saturation are everywhere."""
    classes, height, width = draw(st.integers(1, 4)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    # Eighths: either clearly apart or exactly equal as float32 scores, in torch and here alike.
    levels = draw(st.lists(st.integers(-960, 200), min_size=1, max_size=6))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    logits = rng.choice(np.array(levels, np.float32) / 8, (classes, height, width))
    heads = heads_of(logits)
    heads[:, classes:] = rng.uniform(-3, 9, (1, 4, height, width))
    return heads


@settings(max_examples=300, deadline=None)
@example(heads=heads_of(np.full((2, 6, 6), -4.625)), top_k=40, conf=0.0)
@given(heads=head_tensors(), top_k=st.integers(1, 40), conf=st.sampled_from([0.0, 1e-6, 0.35, 0.5, 0.9, 1.0]))
def test_ties_edges_and_saturation_decode_as_in_centernet(heads: np.ndarray, top_k: int, conf: float) -> None:
    spec = PreprocessSpec(width=heads.shape[3] * 4, height=heads.shape[2] * 4)
    found = decode(heads, [(37, 53)], spec=spec, conf=conf, top_k=top_k)[0]
    # The original has no way to tell a peak whose score underflowed to 0 from what it suppressed.
    if conf == 0.0:
        keep = found.scores > 0
        found = Detections(found.boxes_xyxy[keep], found.scores[keep], found.class_ids[keep])
    assert_same(found, naive_decode(heads[0], (37, 53), spec, conf, top_k))


def test_neighbours_whose_float32_scores_coincide_are_both_peaks() -> None:
    logits = np.full((1, 8, 8), -8, np.float32)
    logits[0, 3, 3], logits[0, 3, 4] = 17.0, 18.0
    found = decode(heads_of(logits), [(32, 32)], spec=PreprocessSpec(width=32, height=32), top_k=5)[0]
    assert found.scores.tolist() == [1.0, 1.0]
    assert naive_peaks(heads_of(logits)[0])[0, 3, 3:5].tolist() == [1.0, 1.0]


def test_neighbours_whose_float32_scores_differ_leave_one_peak() -> None:
    logits = np.full((1, 8, 8), -8, np.float32)
    logits[0, 3, 3], logits[0, 3, 4] = 9.0, 9.125
    found = decode(heads_of(logits), [(32, 32)], spec=PreprocessSpec(width=32, height=32), top_k=5)[0]
    assert len(found) == 1


def test_equal_scores_are_ordered_by_class_then_row_then_column_and_cut_there() -> None:
    logits = np.full((3, 16, 16), -9, np.float32)
    for class_id, row, column in [(2, 1, 1), (0, 9, 3), (1, 5, 5), (0, 2, 12), (0, 9, 1)]:
        logits[class_id, row, column] = 1.5
    found = decode(heads_of(logits), [(64, 64)], spec=PreprocessSpec(width=64, height=64), top_k=4)[0]
    assert found.class_ids.tolist() == [0, 0, 0, 1]
    centres = (found.boxes_xyxy[:, :2] + found.boxes_xyxy[:, 2:]) / 8
    assert centres.tolist() == [[12, 2], [1, 9], [3, 9], [5, 5]]


def test_top_k_counts_all_classes_of_one_image_together() -> None:
    heads = np.concatenate([scene(1), scene(2)])
    for found in decode(heads, [SIZE, SIZE], conf=0.0, top_k=7):
        assert len(found) == 7


def test_the_score_threshold_is_inclusive() -> None:
    logits = np.full((1, 8, 8), -9, np.float32)
    logits[0, 4, 4] = 0.0
    spec = PreprocessSpec(width=32, height=32)
    assert decode(heads_of(logits), [(32, 32)], spec=spec, conf=0.5)[0].scores.tolist() == [0.5]
    assert len(decode(heads_of(logits), [(32, 32)], spec=spec, conf=0.50001)[0]) == 0


@settings(max_examples=200, deadline=None)
@given(conf=st.floats(1e-6, 1.0), offset=st.integers(-3, 3))
def test_no_score_at_the_threshold_is_lost_or_let_through_by_thresholding_logits(conf: float, offset: int) -> None:
    logit = np.float32(min(np.log(conf) - np.log1p(-min(conf, 1 - 1e-9)), 17.0))
    for _ in range(abs(offset)):
        logit = np.nextafter(logit, np.float32(np.inf * np.sign(offset)), dtype=np.float32)
    logits = np.full((1, 2, 2), -100, np.float32)
    logits[0, 0, 0] = logit
    spec = PreprocessSpec(width=8, height=8)
    score = decode(heads_of(logits), [(8, 8)], spec=spec, conf=0.0, top_k=1)[0].scores[0]
    assert len(decode(heads_of(logits), [(8, 8)], spec=spec, conf=conf)[0]) == int(score >= np.float32(conf))


def test_a_box_comes_back_in_the_pixels_of_its_own_image() -> None:
    box = np.array([[100.0, 50.0], [300.0, 250.0]])
    affine = affine_to_input(SIZE, PreprocessSpec())
    (left, top), (right, bottom) = (box @ affine[:, :2].T + affine[:, 2]) / 4
    x, y = (left + right) / 2, (top + bottom) / 2
    heads = np.full((1, 6, 128, 128), -9, np.float32)
    heads[:, 2:] = 0
    heads[0, 1, int(y), int(x)] = 3
    heads[0, 2:, int(y), int(x)] = right - left, bottom - top, x - int(x), y - int(y)
    found = decode(heads, [SIZE])[0]
    assert found.class_ids.tolist() == [1]
    np.testing.assert_allclose(found.boxes_xyxy, box.reshape(1, 4), atol=1e-3)


def test_images_of_a_batch_are_decoded_by_their_own_sizes() -> None:
    sizes = [(480, 640), (100, 900)]
    heads = np.concatenate([scene(3), scene(4)])
    for index, found in enumerate(decode(heads, sizes)):
        alone = decode(heads[index : index + 1], [sizes[index]])[0]
        np.testing.assert_array_equal(found.boxes_xyxy, alone.boxes_xyxy)


def test_a_map_without_objects_yields_no_detections() -> None:
    found = decode(heads_of(np.full((80, 128, 128), -9)), [SIZE])[0]
    assert len(found) == 0 and found.boxes_xyxy.shape == (0, 4)


def test_an_empty_batch_yields_an_empty_list() -> None:
    assert decode(np.zeros((0, 84, 128, 128), np.float32), []) == []


def test_a_tensor_with_gaps_in_memory_decodes_like_its_copy() -> None:
    wide = np.repeat(scene(6), 2, axis=3)
    found = decode(wide[:, :, :, ::2], [SIZE])[0]
    np.testing.assert_array_equal(found.boxes_xyxy, decode(scene(6), [SIZE])[0].boxes_xyxy)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("channel", [0, 41, 79, 80, 83])
def test_a_value_that_is_no_number_is_an_error_that_names_its_place(channel: int, value: float) -> None:
    heads = np.concatenate([scene(1), scene(2)])
    heads[1, channel, 17, 99] = value
    with pytest.raises(ModelError, match=rf"image 1 .* channel {channel}, row 17, column 99 \({value}\)"):
        decode(heads, [SIZE, SIZE])


def test_a_class_ruled_out_by_minus_infinity_is_no_error() -> None:
    heads = scene(1)
    heads[0, :80] = -np.inf
    heads[0, 5, 10, 10] = 2
    assert decode(heads, [SIZE])[0].class_ids.tolist() == [5]


WRONG: List[Tuple[np.ndarray, str]] = [
    (np.zeros((1, 84, 128, 128), np.float64), "float64"),
    (np.zeros((1, 84, 128, 128), np.int8), "int8"),
    (np.zeros((84, 128, 128), np.float32), "expected"),
    (np.zeros((1, 4, 128, 128), np.float32), "expected"),
    (np.zeros((1, 84, 64, 64), np.float32), "512 x 512"),
    (np.zeros((1, 128, 128, 84), np.float32), "expected"),
]


@pytest.mark.parametrize("heads, words", WRONG)
def test_a_tensor_of_another_shape_or_dtype_is_refused(heads: np.ndarray, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        decode(heads, [SIZE])


@pytest.mark.parametrize("options", [{"conf": -0.1}, {"conf": 1.1}, {"conf": float("nan")}, {"top_k": 0}])
def test_an_option_outside_its_range_is_refused(options: dict) -> None:  # type: ignore[type-arg]
    with pytest.raises(OptionError):
        decode(np.zeros((1, 84, 128, 128), np.float32), [SIZE], **options)


def test_a_number_of_image_sizes_that_is_not_the_batch_is_refused() -> None:
    with pytest.raises(OptionError, match="2 image sizes"):
        decode(np.zeros((1, 84, 128, 128), np.float32), [SIZE, SIZE])


def test_detections_whose_parts_disagree_are_refused() -> None:
    with pytest.raises(OptionError, match="disagree"):
        Detections(np.zeros((2, 4), np.float32), np.zeros(3, np.float32), np.zeros(2, np.int32))
