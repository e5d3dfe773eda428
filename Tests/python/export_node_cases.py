"""Writes ONNX's own node cases as one model file each, for the Swift test `NodeCaseOperatorTests`.

    python Tests/python/export_node_cases.py FOLDER
    MUE_ONNX_NODE_DATA=FOLDER swift test --filter NodeCaseOperatorTests

A file holds the case's graph with its inputs as initializers and the outputs that ONNX expects as initializers called
`expected/NAME`; tolerances are in the metadata. Cases with sequences, optionals or strings are left out.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.loader import load_model_tests


def tensor(value, name):
    """The TensorProto of an array, or of a TensorProto already made."""
    if isinstance(value, TensorProto):
        copy = TensorProto()
        copy.CopyFrom(value)
        copy.name = name
        return copy
    return numpy_helper.from_array(np.asarray(value), name)


def export(case, folder):
    """True when the case could be written."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    inputs, outputs = case.data_sets[0]
    if any(isinstance(value, (list, dict)) or value is None for value in [*inputs, *outputs]):
        return False
    values = [tensor(value, info.name) for value, info in zip(inputs, model.graph.input)]
    values += [tensor(value, "expected/" + info.name) for value, info in zip(outputs, model.graph.output)]
    if any(value.data_type == TensorProto.STRING for value in values):
        return False
    model.graph.initializer.extend(values)
    for key, value in (("rtol", case.rtol), ("atol", case.atol)):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, repr(float(value))
    (folder / f"{case.name}.onnx").write_bytes(model.SerializeToString())
    return True


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    written = left_out = 0
    for case in load_model_tests(kind="node"):
        if export(case, folder):
            written += 1
        else:
            left_out += 1
    for kind in ("simple", "pytorch-converted", "pytorch-operator"):
        for case in load_model_tests(kind=kind):
            directory = Path(case.model_dir)
            model = onnx.load(directory / "model.onnx")
            data = directory / "test_data_set_0"
            try:
                names = {value.name for value in model.graph.initializer}
                infos = [info for info in model.graph.input if info.name not in names]
                values = []
                for prefix, targets, label in (("input", infos, ""), ("output", model.graph.output, "expected/")):
                    for index, info in enumerate(targets):
                        value = TensorProto.FromString((data / f"{prefix}_{index}.pb").read_bytes())
                        value.name = label + info.name
                        values.append(value)
            except (OSError, ValueError):
                left_out += 1
                continue
            model.graph.initializer.extend(values)
            for key, value in (("rtol", case.rtol), ("atol", case.atol)):
                entry = model.metadata_props.add()
                entry.key, entry.value = key, repr(float(value))
            (folder / f"{kind}-{case.name}.onnx").write_bytes(model.SerializeToString())
            written += 1
    print(f"{written} cases written to {folder}, {left_out} left out")


if __name__ == "__main__":
    main()
