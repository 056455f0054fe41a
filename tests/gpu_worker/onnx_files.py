"""ONNX files as trainers may store them, and hostile ones."""

from collections.abc import Sequence

import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

SIDES = 4, 6
"""Height and width of the input."""

FLOAT, INT64, UINT8 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8


def brightness(
    *,
    takes: int = UINT8,
    count: str | int | None = "n",
    sides: tuple[str | int | None, str | int | None] = SIDES,
    scale: float = 1 / 255,
    more: Sequence[NodeProto] = (),
) -> bytes:
    """A network of two concepts: how bright the image is, and how dark."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["values"], to=FLOAT),
        helper.make_node("ReduceMean", ["values", "axes"], ["means"], keepdims=0),
        helper.make_node("Unsqueeze", ["means", "last"], ["columns"]),
        helper.make_node("Mul", ["columns", "scale"], ["bright"]),
        helper.make_node("Sub", ["one", "bright"], ["dark"]),
        helper.make_node("Concat", ["bright", "dark"], ["scores"], axis=1),
        *more,
    ]
    constants = [
        helper.make_tensor("axes", INT64, [3], [1, 2, 3]),
        helper.make_tensor("last", INT64, [1], [1]),
        helper.make_tensor("scale", FLOAT, [1], [scale]),
        helper.make_tensor("one", FLOAT, [1], [1.0]),
    ]
    given = helper.make_tensor_value_info("pixels", takes, [count, *sides, 3])
    return _model(nodes, [given], ["n", 2], constants)


def endless() -> bytes:
    """A loop that ends after as many turns as a 64-bit number has."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes_on"]),
            helper.make_node("Add", ["sum", "sum"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("Cast", ["pixels"], ["values"], to=FLOAT),
        helper.make_node("ReduceMean", ["values", "axes"], ["means"], keepdims=0),
        helper.make_node("Loop", ["turns", "yes", "means"], ["scores"], body=body),
    ]
    constants = [
        helper.make_tensor("axes", INT64, [2], [1, 2]),
        helper.make_tensor("turns", INT64, [], [2**62]),
        helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
    ]
    return _model(nodes, [_pixels()], ["n", 2], constants)


def huge() -> bytes:
    """A network that fills 19 GiB for 16 images."""
    nodes = [
        helper.make_node("Shape", ["pixels"], ["shape"]),
        helper.make_node("Mul", ["shape", "factors"], ["larger"]),
        helper.make_node("ConstantOfShape", ["larger"], ["filled"]),
        helper.make_node("ReduceMean", ["filled", "axes"], ["scores"], keepdims=0),
    ]
    constants = [
        helper.make_tensor("factors", INT64, [4], [1, 1 << 11, 1 << 11, 1]),
        helper.make_tensor("axes", INT64, [2], [1, 2]),
    ]
    return _model(nodes, [_pixels()], ["n", 2], constants)


def with_weights_elsewhere(path: str) -> bytes:
    """A network whose scale is in another file."""
    model = onnx.load_model_from_string(brightness())
    (scale,) = [one for one in model.graph.initializer if one.name == "scale"]
    scale.ClearField("float_data")
    scale.data_location = TensorProto.EXTERNAL
    entry = scale.external_data.add()
    entry.key, entry.value = "location", path
    content: bytes = model.SerializeToString()
    return content


def _pixels() -> ValueInfoProto:
    return helper.make_tensor_value_info("pixels", UINT8, ["n", *SIDES, 3])


def _model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    gives: Sequence[str | int | None],
    constants: Sequence[TensorProto],
) -> bytes:
    scores = helper.make_tensor_value_info("scores", FLOAT, gives)
    graph = helper.make_graph(nodes, "network", inputs, [scores], constants)
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    content: bytes = model.SerializeToString()
    return content
