"""Token ids and texts against the `tokenizers` package, through the Swift tests that read its samples."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def run_swift_tests(suite, samples):
    """The named Swift suite on a folder of samples, with what is built already."""
    if shutil.which("swift") is None or not (ROOT / ".build").exists():
        pytest.skip("the Swift tests are not built: run swift build --build-tests")
    result = subprocess.run(["swift", "test", "--skip-build", "--filter", suite], cwd=ROOT, text=True,
                            env={**os.environ, "MUE_PARITY_DATA": str(samples)}, capture_output=True)
    output = result.stdout + result.stderr
    assert result.returncode == 0, output[-4000:]
    # A filter that finds nothing, or a suite that skips itself, would pass as well.
    assert f"Suite {suite} passed" in output, output[-4000:]


@pytest.mark.parametrize("lines", [int(os.environ.get("MUE_PARITY_LINES", "400"))])
def test_same_as_tokenizers(tmp_path, lines):
    pytest.importorskip("tokenizers")
    script = pathlib.Path(__file__).with_name("make_text_samples.py")
    subprocess.run([sys.executable, script, tmp_path, "--lines", str(lines)], check=True)
    run_swift_tests("TokenizerParityTests", tmp_path)
