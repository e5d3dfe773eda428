"""Writes ONNX files of many kinds into a folder, for the reader's tests: python make_onnx_samples.py FOLDER

The onnx package makes the files of every data type, attribute kind, function and kind of external data; where PyTorch
is installed, its two exporters add theirs.
"""

import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = sys.argv[1]


def save(name, graph, opset=17, ir_version=8, functions=(), extra_opsets=(), **options):
    opsets = [helper.make_opsetid("", opset), *extra_opsets]
    model = helper.make_model(graph, opset_imports=opsets, functions=functions, producer_name="samples")
    model.ir_version = ir_version
    os.makedirs(os.path.join(FOLDER, name), exist_ok=True)
    onnx.save(model, os.path.join(FOLDER, name, "model.onnx"), **options)


def value(name, shape=(2, "n"), data_type=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, data_type, shape)


def identity_graph(initializers=(), nodes=None):
    nodes = nodes or [helper.make_node("Identity", ["x"], ["y"], name="only")]
    return helper.make_graph(nodes, "g", [value("x")], [value("y")], initializer=list(initializers))


def data_types():
    random = np.random.default_rng(7)
    raw, listed = [], []
    for number in TensorProto.DataType.values():
        name = TensorProto.DataType.Name(number)
        if number == TensorProto.UNDEFINED:
            continue
        if number == TensorProto.STRING:
            listed.append(helper.make_tensor(name, number, [2], [b"a", "\u6f22".encode()]))
            continue
        values = (random.standard_normal(12) * 3).astype(np.float32)
        if "INT" in name or name == "BOOL":
            values = random.integers(0, 2, 12)
        try:
            raw_type = helper.tensor_dtype_to_np_dtype(number)
            listed.append(helper.make_tensor(name + "_list", number, [3, 4], values.tolist()))
            raw.append(numpy_helper.from_array(values.astype(raw_type).reshape(4, 3), name + "_raw"))
        except Exception as error:  # types that this version of the package only half knows
            print(name, error)
    save("data_types", identity_graph(raw + listed), ir_version=10, opset=21)


def attributes():
    sub = helper.make_graph([helper.make_node("Relu", ["x"], ["b"])], "branch", [], [value("b")])
    node = helper.make_node(
        "Everything", ["x", "", "x"], ["y"], domain="com.example", name="n", i=-5, big=2**63 - 1, small=-(2**63),
        f=1.5, nan=float("nan"), s="text", blob=b"\xff\xfe", ints=[1, -2, 3], floats=[0.5, float("inf")],
        strings=["a", "\u00e9"], t=helper.make_tensor("t", TensorProto.INT64, [2], [1, 2]), g=sub, graphs=[sub, sub],
        tensors=[helper.make_tensor("u", TensorProto.FLOAT, [1], [2.0])],
        tp=helper.make_tensor_type_proto(1, [2]),
        sparse=helper.make_sparse_tensor(
            helper.make_tensor("v", TensorProto.FLOAT, [1], [2.0]), helper.make_tensor("i", TensorProto.INT64, [1], [2]), [4]))
    save("attributes", identity_graph(nodes=[node]), extra_opsets=[helper.make_opsetid("com.example", 1)])


def subgraphs():
    def branch(name, depth):
        if depth == 0:
            return helper.make_graph([helper.make_node("Neg", ["x"], [name])], name, [], [value(name)])
        inner = helper.make_node(
            "If", ["c"], [name], then_branch=branch(name + "t", depth - 1), else_branch=branch(name + "e", depth - 1))
        return helper.make_graph([inner], name, [], [value(name)])

    node = helper.make_node("If", ["c"], ["y"], then_branch=branch("t", 3), else_branch=branch("e", 3))
    graph = helper.make_graph(
        [node], "g", [value("x"), value("c", (), TensorProto.BOOL)], [value("y")], value_info=[value("z", (None, 3))])
    save("subgraphs", graph)


def functions():
    body = [helper.make_node("LeakyRelu", ["a"], ["b"])]
    body[0].attribute.append(helper.make_attribute_ref("alpha", onnx.AttributeProto.FLOAT, ref_attr_name="slope"))
    function = helper.make_function(
        "com.example", "Slope", ["a"], ["b"], body, [helper.make_opsetid("", 17)], attributes=["slope"],
        attribute_protos=[helper.make_attribute("other", 3)])
    node = helper.make_node("Slope", ["x"], ["y"], domain="com.example", slope=0.3)
    save("functions", identity_graph(nodes=[node]), functions=[function], ir_version=9,
         extra_opsets=[helper.make_opsetid("com.example", 1)])


def external():
    random = np.random.default_rng(8)
    tensors = [numpy_helper.from_array(random.standard_normal((37, n)).astype(np.float32), f"w{n}") for n in (1, 33, 500)]
    tensors.append(numpy_helper.from_array(np.arange(3), "small"))
    save("external_one", identity_graph(tensors), save_as_external_data=True, location="model.onnx_data",
         size_threshold=100)
    save("external_each", identity_graph(tensors), save_as_external_data=True, all_tensors_to_one_file=False,
         size_threshold=0)


def versions():
    for ir_version, opset in ((3, 7), (4, 9), (7, 14), (8, 17), (10, 21), (11, 23)):
        save(f"ir{ir_version}", identity_graph([numpy_helper.from_array(np.eye(3, dtype=np.float32), "eye")]),
             opset=opset, ir_version=ir_version)


def torch_exports():
    try:
        import torch
    except ImportError:
        return

    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(50, 32)
            self.layer = torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True)
            self.head = torch.nn.Linear(32, 50)

        def forward(self, ids):
            hidden = self.layer(self.embedding(ids))
            return self.head(hidden[:, : ids.shape[1] // 2 + 1])

    module = Block().eval()
    ids = torch.zeros(2, 7, dtype=torch.long)
    for name, options in (
        ("torchscript", {"dynamo": False, "dynamic_axes": {"ids": {0: "batch", 1: "length"}}, "opset_version": 17}),
        ("dynamo", {"dynamo": True, "dynamic_shapes": ({0: "batch", 1: "length"},)}),
        ("dynamo_external", {"dynamo": True, "external_data": True}),
    ):
        os.makedirs(os.path.join(FOLDER, name), exist_ok=True)
        path = os.path.join(FOLDER, name, "model.onnx")
        try:
            torch.onnx.export(module, (ids,), path, input_names=["ids"], output_names=["logits"], **options)
        except ModuleNotFoundError as error:  # the dynamo exporter needs onnxscript
            print(name, error)


data_types()
attributes()
subgraphs()
functions()
external()
versions()
torch_exports()
