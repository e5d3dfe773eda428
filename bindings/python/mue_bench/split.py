"""Cuts a unified graph into what follows from picture and prompt alone and the rest, so that a runtime need not compute
the encoder, nor the keys and values of cross-attention, for every token."""

from __future__ import annotations

from pathlib import Path


def split(path: Path, decoder_ids: str, logits: str, folder: Path) -> tuple[Path, Path]:
    """Writes `folder`/encoder/model.onnx and `folder`/decoder/model.onnx; the outputs of the first are inputs of the
    second, which also takes `decoder_ids`."""
    import onnx

    typed = onnx.shape_inference.infer_shapes(onnx.load(path, load_external_data=False))
    types = {v.name: v for v in [*typed.graph.value_info, *typed.graph.input, *typed.graph.output]}
    model = onnx.load(path)
    nodes, inputs = list(model.graph.node), {i.name for i in model.graph.input}
    initializers = {i.name: i for i in model.graph.initializer}
    if any(a.HasField("g") or a.graphs for n in nodes for a in n.attribute):
        raise ValueError("a graph with branches or loops cannot be cut: give --pieces")
    after = {decoder_ids}
    for node in nodes:
        if after & set(node.input):
            after |= set(node.output)
    before = inputs - after - set(initializers)
    for node in nodes:
        if before & set(node.input) and not after & set(node.output):
            before |= set(node.output)
    cut = list(dict.fromkeys(v for n in nodes if after & set(n.output) for v in n.input if v in before))

    def write(name: str, outputs: list[str], given: list[str]) -> Path:
        needed, kept = set(outputs), []
        for node in reversed(nodes):
            if set(node.output) & (needed - set(given)):
                kept.append(node)
                needed |= set(node.input)
        graph = onnx.helper.make_graph(
            kept[::-1], name, [types[v] for v in given if v in needed], [types[v] for v in outputs],
            [initializers[v] for v in initializers if v in needed])
        made = onnx.helper.make_model(
            graph, opset_imports=model.opset_import, ir_version=model.ir_version, functions=model.functions)
        target = folder / name / "model.onnx"
        target.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(made, target, save_as_external_data=True, location="model.onnx_data", size_threshold=1 << 20)
        return target

    missing = [v for v in cut if v not in types]
    if missing:
        raise ValueError(f"the type of '{missing[0]}' is not known: give --pieces")
    first = write("encoder", [v for v in cut if v not in inputs], sorted(inputs - after))
    return first, write("decoder", [logits], [*cut, decoder_ids])
