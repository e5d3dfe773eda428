"""A few steps of training, and going on from their checkpoint."""

import json
import os
import subprocess
import sys

import pytest

from training.things import FONT_PATH


@pytest.mark.skipif(not os.path.exists(FONT_PATH), reason="needs Debian's fonts-noto-color-emoji")
def test_training_runs_and_resumes(tmp_path):
    def train(*more: str) -> None:
        command = [sys.executable, "-m", "training.train", str(tmp_path), "--minutes", "500", "--batch", "1",
                   "--stem-minutes", "0.001", "--device", "cpu", *more]
        subprocess.run(command, check=True, capture_output=True, timeout=400, env={**os.environ, "OMP_NUM_THREADS": "1"})
    train("--steps", "25")
    train("--steps", "50", "--resume")
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [e["step"] for e in entries] == [25, 50]
    assert entries[1]["images"] == 50 and entries[1]["minutes"] > entries[0]["minutes"]
