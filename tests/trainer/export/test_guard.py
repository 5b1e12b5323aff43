import re
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from schemas import CARD_METADATA_KEY, ContractError
from tests.trainer.export.fitted import Fitted
from trainer.export import check_model
from trainer.export import guard as guard_module
from trainer.export.guard import MAX_FILE_BYTES, size_problem

Attack = Callable[[ModelProto], None]


def test_a_good_model_gives_its_card(exported: bytes) -> None:
    assert check_model(exported, "m.onnx").name == "pump"


def _external_data(model: ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def _external_data_beside_its_own(model: ModelProto) -> None:
    model.graph.initializer[0].external_data.add(key="location", value="../secret")


def _custom_domain(model: ModelProto) -> None:
    model.opset_import.add(domain="com.attacker", version=1)
    model.graph.node[0].domain = "com.attacker"


def _loop(model: ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["never"], name="bomb", body=body))


def _subgraph_in_an_allowed_operator(model: ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("then_branch", helper.make_graph([], "b", [], [])))


def _expand(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Expand", ["window", "window"], ["large"], name="bomb"))


def _function(model: ModelProto) -> None:
    relu = helper.make_node("Relu", ["a"], ["b"])
    model.functions.append(helper.make_function("f", "F", ["a"], ["b"], [relu], [helper.make_opsetid("", 17)]))


def _training_info(model: ModelProto) -> None:
    model.training_info.add()


def _sparse(model: ModelProto) -> None:
    model.graph.sparse_initializer.add()


def _raw_data_too_short(model: ModelProto) -> None:
    tensor = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    tensor.raw_data = tensor.raw_data[:-4]


def _huge_dims(model: ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [1 << 40, 1 << 20]


def _negative_dims(model: ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [-1]


def _text_constant(model: ModelProto) -> None:
    model.graph.initializer.add(name="text", data_type=TensorProto.STRING, dims=[1], string_data=[b"x"])


def _many_nodes(model: ModelProto) -> None:
    model.graph.node.extend(helper.make_node("Relu", ["window"], [f"r{index}"]) for index in range(2001))


def _no_nodes(model: ModelProto) -> None:
    model.graph.ClearField("node")


def _newer_opset(model: ModelProto) -> None:
    model.opset_import[0].version = 21


def _newer_ir(model: ModelProto) -> None:
    model.ir_version = 14


def _fixed_batch(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _double_input(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def _second_input(model: ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("also", TensorProto.FLOAT, [1]))


def _longer_window(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 65


def _no_novelty(model: ModelProto) -> None:
    del model.graph.output[2]


def _more_classes(model: ModelProto) -> None:
    model.graph.output[1].type.tensor_type.shape.dim[1].dim_value = 4


def _no_card(model: ModelProto) -> None:
    model.ClearField("metadata_props")


def _two_cards(model: ModelProto) -> None:
    model.metadata_props.add(key=CARD_METADATA_KEY, value="{}")


def _card_of_another_version(model: ModelProto) -> None:
    entry = model.metadata_props[0]
    entry.value = entry.value.replace('"card/1"', '"card/2"')


def _card_that_is_no_json(model: ModelProto) -> None:
    model.metadata_props[0].value = "name: pump"


def _unknown_edge(model: ModelProto) -> None:
    model.graph.node[1].input[0] = "nowhere"


def _wrong_inner_shape(model: ModelProto) -> None:
    node = next(node for node in model.graph.node if node.op_type == "Gemm")
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((7, 3), np.float32), "other"))
    node.input[1] = "other"


ATTACKS: dict[Attack, str] = {
    _external_data: "data inside the file expected, got a reference to another file",
    _external_data_beside_its_own: "data inside the file expected, got a reference to another file",
    _custom_domain: "an operator of ONNX expected, got the domain 'com.attacker'",
    _loop: "node 'bomb': an operator of the allow-list expected, got 'Loop'",
    _subgraph_in_an_allowed_operator: "attribute 'then_branch': numbers or text expected, got one of type 5",
    _expand: "an operator of the allow-list expected, got 'Expand'",
    _function: "functions: none expected, got 1",
    _training_info: "training_info: none expected, got 1",
    _sparse: "sparse_initializer: none expected, got 1",
    _raw_data_too_short: "bytes for shape",
    _huge_dims: "bytes for shape",
    _negative_dims: "lengths of at least 0 expected",
    _text_constant: "float32, int64, int32, bool, float16 or int8 expected, got data type 8",
    _many_nodes: "nodes: 1 to 2000 expected, got",
    _no_nodes: "nodes: 1 to 2000 expected, got 0",
    _newer_opset: "opset_import: 17",
    _newer_ir: "ir_version: 8 expected, got 14",
    _fixed_batch: r"input 'window': float32 of shape \(N, 3, 64\) expected, got \(1, 3, 64\)",
    _double_input: "input 'window': float32",
    _second_input: "inputs: 'window' alone expected",
    _longer_window: r"expected, got \(N, 3, 65\)",
    _no_novelty: "outputs: label, probabilities, novelty expected, got label, probabilities$",
    _more_classes: r"output 'probabilities': float32 of shape \(N, 3\) expected, got \(N, 4\)",
    _no_card: r"one 'telltale.card' \(a model card\) expected, got 0",
    _two_cards: "expected, got 2",
    _card_of_another_version: "version 'card/1' expected, got 'card/2'",
    _card_that_is_no_json: "JSON expected",
    _unknown_edge: "a valid ONNX graph expected",
    _wrong_inner_shape: "a valid ONNX graph expected",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__.strip("_"))
def test_a_hostile_file_is_refused_in_one_line(attack: Attack, exported: bytes) -> None:
    model = onnx.load_model_from_string(exported)
    attack(model)
    with pytest.raises(ContractError, match=ATTACKS[attack]) as caught:
        check_model(model.SerializeToString(), "m.onnx")
    assert str(caught.value).startswith("m.onnx: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("n_bytes", [0, 1, 7, 100, 5_000])
def test_a_truncated_file_is_refused(n_bytes: int, exported: bytes) -> None:
    with pytest.raises(ContractError, match="expected, got"):
        check_model(exported[:n_bytes], "m.onnx")


def test_a_file_cut_at_its_last_byte_is_refused(exported: bytes) -> None:
    with pytest.raises(ContractError, match="truncated"):
        check_model(exported[:-1], "m.onnx")


def test_a_file_that_is_too_large_is_not_even_parsed() -> None:
    with pytest.raises(ContractError, match=f"1 to {MAX_FILE_BYTES} bytes expected, got {MAX_FILE_BYTES + 1}"):
        check_model(bytes(MAX_FILE_BYTES + 1), "m.onnx")


def test_too_many_parameters_are_refused(exported: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "MAX_PARAMETERS", 1000)
    with pytest.raises(ContractError, match="at most 1000 numbers expected"):
        check_model(exported, "m.onnx")


def test_every_problem_is_named_at_once(exported: bytes) -> None:
    model = onnx.load_model_from_string(exported)
    _expand(model)
    _sparse(model)
    _newer_ir(model)
    with pytest.raises(ContractError) as caught:
        check_model(model.SerializeToString(), "m.onnx")
    assert len(caught.value.problems) == 3


def test_what_is_refused_before_a_fit_would_be_refused_after_it(
    fitted: Fitted, exported: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = fitted.model.extractor
    n_nodes = len(onnx.load_model_from_string(exported).graph.node)

    def problem() -> str | None:
        return size_problem(extractor.model, extractor.n_features, fan_out=3)

    assert problem() is None
    monkeypatch.setattr(guard_module, "MAX_NODES", n_nodes)
    assert problem() is None
    check_model(exported, "m.onnx")
    monkeypatch.setattr(guard_module, "MAX_NODES", n_nodes - 10)
    assert re.fullmatch(r"features of at most \d+ nodes expected, got \d+", problem() or "")
    monkeypatch.undo()
    monkeypatch.setattr(guard_module, "MAX_FILE_BYTES", len(exported))
    assert problem() is None
    # Weights alone: a network of 3,000 units would not fit where three do.
    assert "with 3000 weights each" in (size_problem(extractor.model, extractor.n_features, fan_out=3000) or "")
