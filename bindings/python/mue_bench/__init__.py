"""Other runtimes for `mue bench --compare`: each runs in a process of its own, `python -m mue_bench.peer`.

Needs the extra `bench` of the distribution: onnxruntime, openvino, onnx, tokenizers, pillow.
"""
