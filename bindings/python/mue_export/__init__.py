"""Turns published OFA and MuE checkpoints into bundles that mue runs: `python -m mue_export ofa CHECKPOINT OUT_DIR`.

Needs the extra `export` of the distribution: torch and onnx; onnxscript for `--exporter dynamo`; onnxruntime to verify.
"""
