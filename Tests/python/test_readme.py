"""The README's commands and programs, run as they stand from the repository's root."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)


def test_there_are_examples():
    assert sorted(kind for kind, _ in BLOCKS) == ["python", "sh", "sh"]


@pytest.mark.parametrize("kind, text", BLOCKS, ids=[f"{kind}-{number}" for number, (kind, _) in enumerate(BLOCKS)])
def test_example_runs(kind, text):
    if not (ROOT / "models/demo/model.onnx").exists():
        pytest.skip("models/demo/model.onnx is not there")
    if kind == "python" and not (ROOT / "bindings/python").exists():
        pytest.skip("bindings/python is not there")
    assert (ROOT / "build/lib/libmue.so").exists(), "make build comes first"
    environment = dict(os.environ, PYTHONPATH=str(ROOT / "bindings/python"))
    command = [sys.executable, "-c", text] if kind == "python" else ["bash", "-euc", text]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
