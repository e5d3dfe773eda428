"""Wrong inputs to the command line: status 1, one clear error that names the culprit, nothing on standard output."""

from __future__ import annotations

import shutil

import pytest

CAPTION = " what does the image describe?"


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    import numpy as np
    from PIL import Image
    path = tmp_path_factory.mktemp("picture") / "noise.png"
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (37, 53, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def broken(bundle, tmp_path):
    """A copy of the bundle to be damaged."""
    return shutil.copytree(bundle, tmp_path / "bundle")


def refused(mue, *arguments, words):
    done = mue.run(*arguments)
    assert done.returncode == 1, f"status {done.returncode}: {done.stdout}{done.stderr}"
    assert done.stdout == ""
    message = done.stderr.lower()
    assert all(w.lower() in message for w in words), done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3, done.stderr
    assert "fatal" not in message and "swift" not in message
    return done.stderr


def test_no_such_file(mue, bundle, picture, tmp_path):
    refused(mue, "generate", tmp_path / "nothing", "--image", picture, words=["nothing"])
    refused(mue, "generate", bundle, "--image", tmp_path / "nothing.png", words=["nothing.png"])


def test_check_reports_what_is_wrong(mue, tmp_path):
    """Its report is the result, so it goes to standard output."""
    letter = tmp_path / "letter.onnx"
    letter.write_text("dear friend\n")
    for path in (tmp_path / "nothing.onnx", letter):
        done = mue.run("check", path)
        assert done.returncode == 1
        assert path.name in done.stdout


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.999])
def test_truncated_model(mue, broken, picture, kept):
    model = broken / "model.onnx"
    model.write_bytes(model.read_bytes()[: int(model.stat().st_size * kept)])
    refused(mue, "generate", broken, "--image", picture, words=["model.onnx"])


def test_text_named_onnx(mue, broken, picture, tmp_path):
    (broken / "model.onnx").write_text("this is not a model, but a letter to a friend\n" * 40)
    refused(mue, "generate", broken, "--image", picture, words=["model.onnx"])
    refused(mue, "run", broken / "model.onnx", "--output-dir", tmp_path / "out", words=["model.onnx"])


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"not a picture at all"])
def test_no_picture(mue, bundle, tmp_path, content):
    path = tmp_path / "empty.png"
    path.write_bytes(content)
    refused(mue, "generate", bundle, "--image", path, words=["empty.png"])


def test_truncated_picture(mue, bundle, picture, tmp_path):
    path = tmp_path / "half.png"
    path.write_bytes(picture.read_bytes()[: picture.stat().st_size // 2])
    refused(mue, "generate", bundle, "--image", path, words=["half.png"])


def test_prompt_too_long(mue, bundle, picture):
    refused(mue, "generate", bundle, "--image", picture, "--prompt", " what is this?" * 400, words=["prompt", "tokens"])


@pytest.mark.parametrize("exits", ["abc", "nan", "nan,0.9,0.9", "0.9,0.9,nan", "0.9,0.9", "0.9,0.9,0.9,0.9", "inf,1,1", ""])
def test_thresholds(mue, bundle, picture, exits):
    # Either the whole is no setting, or one number of it is no threshold.
    refused(mue, "generate", bundle, "--image", picture, "--exits", exits,
            words=["threshold"] if exits.count(",") == 2 else ["--exits", f"'{exits}'"])


def test_other_arguments(mue, bundle, picture):
    refused(mue, "generate", bundle, "--image", picture, "--max-tokens", 100000, words=["max_tokens"])
    refused(mue, "score", bundle, "--image", picture, "--prompt", CAPTION, "--answers", " yes, yes", words=["answer"])
