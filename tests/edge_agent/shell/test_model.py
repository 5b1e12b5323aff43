from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from edge_agent.errors import ModelError
from edge_agent.shell.guard import MAX_FILE_BYTES, inspect_model
from edge_agent.shell.model import Model
from edge_agent.shell.onnx_file import read_onnx
from edge_agent.shell.protobuf import FormatError
from schemas import CARD_METADATA_KEY
from tests.edge_agent.small_model import build_model, write_model

Change = Callable[[ModelProto], None]


def refusal(change: Change | None = None, content: bytes | None = None) -> str:
    """The one line that a spoiled model file is refused with."""
    with pytest.raises(ModelError) as caught:
        inspect_model(build_model(change=change) if content is None else content, "m.onnx")
    text = str(caught.value)
    assert text.startswith("m.onnx: ")
    assert "\n" not in text
    return text


def test_good_model_loads_and_answers_in_chunks_as_one_by_one(tmp_path: Path) -> None:
    model = Model(write_model(tmp_path / "m.onnx"))
    windows = np.random.default_rng(1).standard_normal((150, 2, 10)).astype(np.float32)
    together = model.run(windows)
    assert together.probabilities.shape == (150, 2)
    assert together.novelty.shape == (150,)
    alone = np.concatenate([model.run(window[None]).probabilities for window in windows])
    np.testing.assert_allclose(together.probabilities, alone, atol=1e-6)
    assert model.run(windows[:0]).probabilities.shape == (0, 2)


def test_missing_values_are_filled_in_by_the_graph(tmp_path: Path) -> None:
    model = Model(write_model(tmp_path / "m.onnx"))
    answer = model.run(np.full((1, 2, 10), np.nan, dtype=np.float32))
    assert np.isfinite(answer.probabilities).all()


# ---------------------------------------------------------------------- attacks


def external_data(model: ModelProto) -> None:
    tensor = model.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def external_data_without_location_flag(model: ModelProto) -> None:
    entry = model.graph.initializer[1].external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"


def memory_marker(model: ModelProto) -> None:
    external_data(model)
    model.graph.initializer[1].external_data[0].value = "*/_ORT_MEM_ADDR_/*"


def custom_domain(model: ModelProto) -> None:
    model.graph.node[0].domain = "com.attacker"


def foreign_opset(model: ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def endless_loop(model: ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], [], body=body))


def hidden_subgraph(model: ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("extra", helper.make_graph([], "hidden", [], [])))


def function(model: ModelProto) -> None:
    model.functions.append(helper.make_function("", "Abs", ["x"], ["y"], [], [helper.make_opsetid("", 17)]))


def training(model: ModelProto) -> None:
    model.training_info.add()


def bomb(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("ConstantOfShape", ["shape"], ["huge"]))


def sparse(model: ModelProto) -> None:
    model.graph.sparse_initializer.add()


def lying_dims(model: ModelProto) -> None:
    model.graph.initializer[1].dims[0] = 1 << 40


def negative_dims(model: ModelProto) -> None:
    model.graph.initializer[1].dims[0] = -2


def text_tensor(model: ModelProto) -> None:
    model.graph.initializer.append(TensorProto(name="text", data_type=TensorProto.STRING, dims=[1], string_data=[b"x"]))


def too_many_nodes(model: ModelProto) -> None:
    model.graph.node.extend(helper.make_node("Abs", ["mean"], [f"n{number}"]) for number in range(2001))


def second_input(model: ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1]))


def wrong_window(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 11


def fixed_batch(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def no_novelty(model: ModelProto) -> None:
    del model.graph.output[2]


def newer_ir(model: ModelProto) -> None:
    model.ir_version = 14


def newer_opset(model: ModelProto) -> None:
    model.opset_import[0].version = 28


def no_card(model: ModelProto) -> None:
    del model.metadata_props[:]


def card_of_another_version(model: ModelProto) -> None:
    model.metadata_props[0].value = model.metadata_props[0].value.replace("card/1", "card/9")


@pytest.mark.parametrize(
    ("attack", "word"),
    [
        (external_data, "another file"),
        (external_data_without_location_flag, "another file"),
        (memory_marker, "another file"),
        (custom_domain, "com.attacker"),
        (foreign_opset, "com.microsoft"),
        (endless_loop, "'Loop'"),
        (hidden_subgraph, "subgraph"),
        (function, "functions"),
        (training, "training"),
        (bomb, "ConstantOfShape"),
        (sparse, "sparse"),
        (lying_dims, "values of shape"),
        (negative_dims, "at least 0"),
        (text_tensor, "data type 8"),
        (too_many_nodes, "2000 nodes"),
        (second_input, "'other'"),
        (wrong_window, "'window'"),
        (fixed_batch, "any number of windows"),
        (no_novelty, "'novelty'"),
        (newer_ir, "IR version"),
        (newer_opset, "opset"),
        (no_card, CARD_METADATA_KEY),
        (card_of_another_version, "card/9"),
    ],
)
def test_attack_is_refused_before_any_runtime_sees_the_file(attack: Change, word: str) -> None:
    assert word in refusal(attack)


def test_truncation_at_any_byte_is_refused_in_one_line() -> None:
    content = build_model()
    for length in [*range(64), *range(64, len(content), 37)]:
        assert refusal(content=content[:length]).count("\n") == 0


def test_any_flipped_byte_ends_in_a_card_or_one_line() -> None:
    content = build_model()
    chance = np.random.default_rng(3)
    for at in chance.integers(0, len(content), 300).tolist():
        spoiled = bytearray(content)
        spoiled[at] ^= int(chance.integers(1, 256))
        line = ""
        try:
            inspect_model(bytes(spoiled), "m.onnx")
        except ModelError as error:
            line = str(error)
        assert "\n" not in line


def test_second_graph_that_a_parser_would_merge_is_refused() -> None:
    content = build_model()
    with pytest.raises(FormatError, match="twice"):
        read_onnx(content + b"\x3a\x00")  # field 7, length 0: an empty graph after the real one


def test_oversized_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ModelError, match="at most 20971520 bytes expected, got 20971521"):
        Model(path)


# ---------------------------------------------------------------------- a model that does not keep its word


def test_model_that_answers_its_golden_windows_differently_is_refused(tmp_path: Path) -> None:
    def turn_weights(model: ModelProto) -> None:
        weights = np.frombuffer(model.graph.initializer[1].raw_data, dtype=np.float32) * -1
        model.graph.initializer[1].raw_data = weights.tobytes()

    with pytest.raises(ModelError, match="golden window 0: the label 'low' expected"):
        Model(write_model(tmp_path / "m.onnx", change=turn_weights))


def test_model_with_slightly_other_probabilities_is_refused(tmp_path: Path) -> None:
    def shift(model: ModelProto) -> None:
        weights = np.frombuffer(model.graph.initializer[1].raw_data, dtype=np.float32) * np.float32(0.9)
        model.graph.initializer[1].raw_data = weights.tobytes()

    with pytest.raises(ModelError, match="golden window 0: probabilities within"):
        Model(write_model(tmp_path / "m.onnx", change=shift))


def test_weights_that_are_no_numbers_are_refused_by_the_finite_check(tmp_path: Path) -> None:
    def poison(model: ModelProto) -> None:
        model.graph.initializer[1].raw_data = np.full(4, np.nan, dtype=np.float32).tobytes()

    with pytest.raises(ModelError, match="finite"):
        Model(write_model(tmp_path / "m.onnx", change=poison))


def test_graph_that_the_runtime_refuses_gives_one_line(tmp_path: Path) -> None:
    def dangle(model: ModelProto) -> None:
        model.graph.node[3].input[0] = "nowhere"

    with pytest.raises(ModelError, match="the runtime refuses the graph") as caught:
        Model(write_model(tmp_path / "m.onnx", change=dangle))
    assert "\n" not in str(caught.value)
