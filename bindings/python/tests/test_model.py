"""The demo model: images in every form, batches, callbacks, exits, tensors."""

from __future__ import annotations

import json
import math
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

import mue

ANSWERS = [" yes", " no", " maybe"]


def test_inspect_finds_the_streams(model: mue.Model) -> None:
    described = model.inspect()
    assert isinstance(described, dict) and described
    assert [info.name for info in model.inputs] == ["pixel_values", "input_ids", "decoder_input_ids"]
    assert model.outputs[0].name == "logits"


def test_an_image_is_the_same_in_every_form(model: mue.Model, samples: list[dict]) -> None:
    pil = pytest.importorskip("PIL.Image")
    path: Path = samples[0]["path"]
    with pil.open(path) as opened:
        picture = opened.convert("RGB")
    pixels = np.asarray(picture)
    expected = model.generate(path)
    wide = np.zeros((pixels.shape[0], pixels.shape[1] + 5, 3), np.uint8)
    wide[:, :-5] = pixels
    for form in (str(path), path.read_bytes(), bytearray(path.read_bytes()), picture, pixels, wide[:, :-5],
                 mue.Image(path)):
        answer = model.generate(form)
        assert answer.text == expected.text, type(form)
        assert answer.logprob == pytest.approx(expected.logprob, abs=1e-6)


def test_a_batch_answers_as_its_items_do(model: mue.Model, samples: list[dict]) -> None:
    paths = [entry["path"] for entry in samples[:3]]
    prompts = [entry["question"]["prompt"] for entry in samples[:3]]
    batch = model.generate(paths, prompts, exits=(0.98, 0.95, 0.97))
    assert isinstance(batch, list) and len(batch) == 3
    for path, prompt, answer in zip(paths, prompts, batch):
        alone = model.generate(path, prompt, exits=(0.98, 0.95, 0.97))
        assert (answer.text, answer.tokens, answer.exits) == (alone.text, alone.tokens, alone.exits)
    assert [answer.text for answer in model.generate(paths[0], prompts)] == [
        model.generate(paths[0], prompt).text for prompt in prompts
    ]
    assert isinstance(model.generate([paths[0]]), list)


def test_a_report_is_whole(model: mue.Model, samples: list[dict]) -> None:
    answer = model.generate(samples[1]["path"], similarities=True)
    assert answer.finished and answer.text
    assert answer.logprob == pytest.approx(sum(answer.token_logprobs), abs=1e-6)
    assert answer.exits.image == answer.depth.image and answer.exits.text == answer.depth.text
    assert set(answer.exits.decoder) == {answer.depth.decoder}
    assert len(answer.exits.decoder) == len(answer.tokens) + 1
    assert answer.macs.run == answer.macs.full > 0
    assert answer.etr == 0
    assert answer.time_ms.total > 0
    assert answer.similarities is not None
    assert len(answer.similarities.decoder) == len(answer.exits.decoder)
    assert all(-1.001 <= value <= 1.001 for value in answer.similarities.image)
    assert model.generate(samples[1]["path"]).similarities is None


def test_exits_follow_the_thresholds(model: mue.Model, samples: list[dict]) -> None:
    path = samples[2]["path"]
    never = model.generate(path, exits=(1, 1, 1))
    assert never.text == model.generate(path).text and never.etr == 0
    early = model.generate(path, exits=(-1, -1, -1))
    assert early.exits.image < early.depth.image and early.exits.text < early.depth.text
    assert max(early.exits.decoder) < early.depth.decoder
    assert early.macs.run < early.macs.full and early.etr > 0
    one = model.generate(path, exits=mue.Exits(image=-1, text=1, decoder=1, rule="joint"))
    assert one.exits.image < one.depth.image and one.exits.text == one.depth.text


def test_similarities_explain_the_exits(model: mue.Model, samples: list[dict]) -> None:
    """A stream stops after the first layer whose similarity exceeds the threshold."""
    for entry in samples[:4]:
        full = model.generate(entry["path"], similarities=True)
        assert full.similarities is not None
        threshold = sorted(full.similarities.image)[len(full.similarities.image) // 2] - 1e-3
        answer = model.generate(entry["path"], exits=(threshold, 1, 1), similarities=True)
        assert answer.similarities is not None
        values = answer.similarities.image
        assert all(value <= threshold for value in values[:-1])
        assert values[-1] > threshold


def test_scores_are_normalised(model: mue.Model, samples: list[dict]) -> None:
    entry = samples[0]
    prompt = entry["entailment"][0]["prompt"]
    scoring = model.score(entry["path"], prompt, ANSWERS)
    assert scoring.answers == tuple(ANSWERS)
    assert sum(math.exp(value) for value in scoring.logprobs) == pytest.approx(1, abs=1e-5)
    assert scoring.text == ANSWERS[int(np.argmax(scoring.logprobs))]
    batch = model.score([entry["path"]] * 2, prompt, ANSWERS)
    assert [item.best for item in batch] == [scoring.best] * 2


def test_tokens_arrive_one_by_one(model: mue.Model, samples: list[dict]) -> None:
    events: list[mue.TokenEvent] = []
    threads: set[int] = set()

    def on_token(event: mue.TokenEvent) -> None:
        events.append(event)
        threads.add(threading.get_ident())

    answer = model.generate(samples[0]["path"], on_token=on_token)
    assert "".join(event.text for event in events).strip() == answer.text.strip()
    assert tuple(event.token for event in events)[: len(answer.tokens)] == answer.tokens
    assert threads == {threading.get_ident()}


def test_a_callback_stops_cancels_and_raises(model: mue.Model, samples: list[dict]) -> None:
    path = samples[0]["path"]
    whole = model.generate(path)
    assert len(whole.tokens) > 3
    seen = 0

    def stop_at_two(_: mue.TokenEvent) -> mue.Next | None:
        nonlocal seen
        seen += 1
        return mue.Next.STOP if seen == 2 else None

    stopped = model.generate(path, on_token=stop_at_two)
    assert stopped.tokens == whole.tokens[:2] and not stopped.finished
    with pytest.raises(mue.CancelledError):
        model.generate(path, on_token=lambda _: mue.Next.CANCEL)
    with pytest.raises(ZeroDivisionError):
        model.generate(path, on_token=lambda _: 1 // 0)
    with pytest.raises(TypeError):
        model.generate(path, on_token=lambda _: True)
    assert model.generate(path).text == whole.text


def test_a_callback_may_use_the_model(model: mue.Model, samples: list[dict]) -> None:
    path = samples[0]["path"]
    inner: list[str] = []

    def on_token(_: mue.TokenEvent) -> None:
        if not inner:
            inner.append(model.generate(path).text)

    assert model.generate(path, on_token=on_token).text == inner[0]


def test_a_token_cancels_from_another_thread(model: mue.Model, samples: list[dict]) -> None:
    token = mue.CancelToken()

    def on_token(_: mue.TokenEvent) -> None:
        thread = threading.Thread(target=token.trip)
        thread.start()
        thread.join()

    with pytest.raises(mue.CancelledError):
        model.generate(samples[0]["path"], on_token=on_token, cancel=token)


def test_max_tokens_and_beams(model: mue.Model, samples: list[dict]) -> None:
    path = samples[3]["path"]
    short = model.generate(path, max_tokens=2)
    assert len(short.tokens) == 2 and not short.finished
    assert model.generate(path, beams=3).text
    with pytest.raises(mue.InvalidArgumentError):
        model.generate(path, beams=2, on_token=lambda _: None)


def test_forward_takes_and_gives_arrays(model: mue.Model) -> None:
    generator = np.random.default_rng(7)
    pixels = generator.standard_normal((2, 3, 112, 112))
    text = generator.integers(4, 300, (2, 9))
    decoder = generator.integers(4, 300, (2, 5), dtype=np.int32)
    result = model.forward(pixels, text, decoder, similarities=True)
    assert result.logits.shape[:2] == (2, 5) and result.logits.dtype == np.float32
    assert result.encoder_hidden_states.shape[0] == 2
    assert len(result.reports) == 2 and result.reports[0].similarities is not None
    graph = model.run(
        {"pixel_values": pixels.astype(np.float32), "input_ids": text, "decoder_input_ids": decoder.astype(np.int64)})
    scale = np.abs(graph["logits"]).max()
    assert np.abs(graph["logits"] - result.logits).max() <= 1e-4 * scale
    early = model.forward(pixels, text, decoder, exits=(-1, -1, -1))
    assert early.reports[0].exits.image < early.reports[0].depth.image
    with pytest.raises(TypeError):
        model.forward(pixels, text.astype(np.float32), decoder)


def test_threads_at_once(model: mue.Model, samples: list[dict]) -> None:
    expected = [model.generate(entry["path"]).text for entry in samples[:4]]
    answers: dict[int, str] = {}

    def work(index: int) -> None:
        answers[index] = model.generate(samples[index]["path"]).text

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[index] for index in range(4)] == expected


def test_the_command_line_says_the_same(model: mue.Model, bundle: Path, samples: list[dict]) -> None:
    """Both go through include/mue.h; its JSON is read here, against the getters in the package."""
    import json

    command = Path(__file__).resolve().parents[3] / "build" / "bin" / "mue"
    if not command.exists():
        pytest.skip("build/bin/mue is not there")
    path = samples[0]["path"]
    arguments = [command, "generate", bundle, "--image", path, "--exits", "0.9,0.9,0.9", "--similarities", "--json"]
    printed = json.loads(subprocess.run(arguments, capture_output=True, check=True).stdout)
    answer = model.generate(path, exits=(0.9, 0.9, 0.9), similarities=True)
    assert answer.similarities is not None
    assert printed["text"] == answer.text
    assert printed["tokens"] == list(answer.tokens)
    assert printed["exits"] == {
        "image": answer.exits.image, "text": answer.exits.text, "decoder": list(answer.exits.decoder)}
    assert printed["macs"] == {"run": answer.macs.run, "full": answer.macs.full}
    assert printed["etr"] == pytest.approx(answer.etr)
    assert printed["similarities"]["image"] == pytest.approx(list(answer.similarities.image), abs=1e-5)


def test_a_request_is_traced(model: mue.Model, samples: list[dict], tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    answer = model.generate(samples[0]["path"], trace=path)
    assert answer.text == model.generate(samples[0]["path"]).text
    spans = [event for event in json.loads(path.read_text())["traceEvents"] if event["ph"] == "X"]
    assert spans[0]["name"] == "generate" and {"Linear", "Attention"} <= {span["cat"] for span in spans}
    # What fails leaves a trace too, and a session that is used on.
    with pytest.raises(mue.NotFoundError):
        model.generate(tmp_path / "missing.png", trace=path)
    spans = [event for event in json.loads(path.read_text())["traceEvents"] if event["ph"] == "X"]
    assert [span["name"] for span in spans] == ["generate", "image decode"]
    model.score(samples[0]["path"], None, ANSWERS, trace=path)
    assert '"score"' in path.read_text()
    with pytest.raises(OSError):
        model.generate(samples[0]["path"], trace=tmp_path / "missing" / "trace.json")
