"""The compiler's text is read as it is written, and a rule that finds no heads says so."""

from __future__ import annotations

import pytest

from tasks.errors import GraphError
from tasks.toolchain.graph import filters, head_tail, parse, quantize_table, weight_file
from tests.tasks.toolchain.fakes import DATA

THREE_HEADS = (DATA / "three_heads.mlir").read_text()
TWO_OUTPUTS = (DATA / "two_outputs.mlir").read_text()


def changed(before: str, after: str, text: str = THREE_HEADS) -> str:
    assert before in text
    return text.replace(before, after)


def test_a_network_is_read_as_the_compiler_writes_it() -> None:
    graph = parse(THREE_HEADS)
    assert graph.weight_file == "centernet_top_f32_all_weight.npz"
    assert [(op.name, op.shape) for op in graph.inputs] == [("x.1", (1, 3, 64, 64))]
    assert graph.outputs == ("%25",) and graph.output_shapes == ((1, 84, 16, 16),)
    concatenation = graph.operations["%25"]
    assert (concatenation.kind, concatenation.operands) == ("top.Concat", ("%12", "%18", "%24"))
    assert graph.operations["%1"] == ("%1", "top.Weight", (), "weight.4", (8, 3, 3, 3))
    assert list(graph.operations) == [f"%{index}" for index in range(26)]
    assert graph.layer_names == {"input.1", "input0.2", "55", "62", "77", "84", "99", "106", "16"}


def test_the_weights_of_the_tail_are_named_as_in_the_archive() -> None:
    graph = parse(THREE_HEADS)
    shapes = {op.name: op.shape for op in graph.operations.values() if op.kind == "top.Weight"}
    found = filters(graph, head_tail(graph))
    assert [shapes[name] for name in found] == [(80, 8, 1, 1), (2, 8, 1, 1), (2, 8, 1, 1)]


def test_a_convolution_whose_weights_are_no_array_is_refused() -> None:
    graph = parse(changed('"top.Conv"(%9, %10, %11)', '"top.Conv"(%9, %9, %11)'))
    with pytest.raises(GraphError, match="have no weights"):
        filters(graph, head_tail(graph))


def test_an_operation_of_several_results_goes_by_its_first_name() -> None:
    graph = parse(TWO_OUTPUTS)
    values, indices = graph.operations["%values"], graph.operations["%indices"]
    assert values.name == indices.name == "13"  # loc(fused[#loc7, #loc8]), "13" and "14"
    assert graph.outputs == ("%13", "%values")
    assert graph.output_shapes == ((1, 6, 62, 62), (1, 4, 62, 3))
    assert graph.operations["%0"] == ("%0", "top.None", (), "", ())
    assert "" not in graph.layer_names


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ('"plain"', "plain"),
        ('"with (brackets)"', "with (brackets)"),
        (r'"a \"quoted\" one"', 'a "quoted" one'),
        (r'"tab\09and \\"', "tab\tand \\"),
        ('fused["first", "second"]', "first"),
        ('fused<"kind">["first"]', "first"),
        ("fused[#loc13, #loc19]", "62"),
        ('"named"(#loc13)', "named"),
        ("#loc13", "62"),
        ("#loc99", ""),
        ("unknown", ""),
        ("#loc", ""),
    ],
)
def test_a_layer_name_is_found_through_every_form_of_location(location: str, name: str) -> None:
    assert parse(changed('#loc26 = loc("16")', f"#loc26 = loc({location})")).operations["%25"].name == name
    assert parse(changed("loc(#loc26)", f"loc({location})")).operations["%25"].name == name


def test_results_written_as_one_value_with_a_count_are_told_apart() -> None:
    text = changed("%values, %indices =", "%14:2 =", TWO_OUTPUTS)
    graph = parse(changed("return %13, %values", "return %13, %14#1", text))
    assert graph.operations["%14#0"].name == graph.operations["%14#1"].name == "13"
    assert graph.output_shapes == ((1, 6, 62, 62), (1, 4, 62, 3))


def test_attributes_in_the_newer_place_are_skipped_too() -> None:
    text = changed('"top.Concat"(%12, %18, %24) {axis', '"top.Concat"(%12, %18, %24) <{new = 1 : i64}> {axis')
    assert parse(text).operations["%25"].operands == ("%12", "%18", "%24")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not a module at all",
        changed("return %25", "yield %25"),
        changed("module.weight_file", "module.weights"),
        changed('%25 = "top.Concat"(%12, %18, %24) {', '%25 = "top.Concat" [%12, %18, %24] {'),
        changed(") -> (tensor<1x4x62x3xf32>, tensor<1x4x62x3xf32>)", ") -> tensor<1x4x62x3xf32>", TWO_OUTPUTS),
    ],
)
def test_a_text_of_another_form_is_refused_and_not_half_read(text: str) -> None:
    with pytest.raises(GraphError, match="not the known form"):
        parse(text)


def test_the_weights_of_any_dialect_are_found() -> None:
    assert weight_file('module {module.weight_file = "a_tpu_weights.npz"}') == "a_tpu_weights.npz"
    with pytest.raises(GraphError, match="it names no weight file"):
        weight_file("module {}")


def test_the_heads_are_the_final_concatenation_and_its_convolutions() -> None:
    assert head_tail(parse(THREE_HEADS)) == ("16", "62", "84", "106")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (changed('"top.Concat"', '"top.Add"'), "no concatenation at the end of the network, but top.Add"),
        (changed("return %25", "return %arg0"), "but an argument"),
        (changed("(%12, %18, %24)", "(%12, %18)"), r"3 convolutions .* found 62 \(top.Conv\), 84 \(top.Conv\)"),
        (changed("(%12, %18, %24)", "(%12, %18, %24, %9)"), "3 convolutions"),
        (changed("(%12, %18, %24)", "(%12, %18, %arg0)"), "an argument"),
        (changed("(%12, %18, %24)", "(%12, %18, %24, %arg0)"), "an argument"),
        (changed('%18 = "top.Conv"', '%18 = "top.Relu"'), r"84 \(top.Relu\)"),
        (TWO_OUTPUTS, "needs one output, the network has 2"),
    ],
)
def test_a_network_that_does_not_end_in_three_heads_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(GraphError, match=complaint):
        head_tail(parse(text))


def test_another_number_of_heads_can_be_asked_for() -> None:
    graph = parse(changed("(%12, %18, %24)", "(%12, %18)"))
    assert head_tail(graph, heads=2) == ("16", "62", "84")


def test_a_quantize_table_has_a_line_for_each_layer() -> None:
    assert quantize_table(parse(THREE_HEADS), ("16", "62"), "F16") == "16 F16\n62 F16\n"


@pytest.mark.parametrize("name", ["17", "", "x.1", "weight.4"])
def test_a_name_that_is_no_layer_is_refused_because_the_compiler_would_ignore_it(name: str) -> None:
    with pytest.raises(GraphError, match=f"does not have: '{name}'"):
        quantize_table(parse(THREE_HEADS), ("16", name), "F16")


def test_a_name_with_a_space_has_no_place_in_a_table() -> None:
    graph = parse(changed('#loc26 = loc("16")', '#loc26 = loc("two words")'))
    with pytest.raises(GraphError, match="'two words'"):
        quantize_table(graph, ("two words",), "F16")
