"""Decoded, resized and preprocessed pictures against Pillow and NumPy, through the Swift tests that read its samples."""

import pathlib
import subprocess
import sys

import pytest

from test_text_parity import run_swift_tests


def test_same_as_pillow(tmp_path):
    pillow = pytest.importorskip("PIL")
    if int(pillow.__version__.split(".")[0]) < 13:
        pytest.skip("Pillow before 13 resizes in another order")
    script = pathlib.Path(__file__).with_name("make_vision_samples.py")
    subprocess.run([sys.executable, "-W", "ignore", script, tmp_path, "--images", "16"], check=True)
    run_swift_tests("PillowParityTests", tmp_path)
