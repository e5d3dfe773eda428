"""Plain searches on ONNX Runtime's logits of a unified graph; the whole prefix is computed anew for every token."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """In double precision; minus infinity stays what it is."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def relative_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, relative to the largest expected magnitude."""
    assert found.shape == expected.shape, f"{found.shape} instead of {expected.shape}"
    assert np.isfinite(found).all()
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def only(logits: np.ndarray, allowed: set[int]) -> np.ndarray:
    """The logits with minus infinity for every token that is not allowed."""
    masked = np.full_like(logits, -np.inf)
    masked[list(allowed)] = logits[list(allowed)]
    return masked


Hypothesis = tuple[float, list[int]]  # score, tokens with the end


@dataclass
class BeamRules:
    """fairseq's beam search (sequence_generator.py as OFA has it), one sample, read from its definition.

    Of the 2 * beams best continuations those among the first `beams` that end are finished, and the first `beams` others
    go on. Over when `beams` are finished; behind `max_tokens` tokens only the end may come, and then it is over too.
    """

    beams: int
    max_tokens: int
    ngram: int = 0
    penalty: float = 1.0
    min_tokens: int = 1
    allowed: Callable[[list[int]], set[int]] | None = None
    margin: float = field(default=np.inf, init=False)  # smallest distance of two scores that decided something

    def search(self, scores: Callable[[list[list[int]]], np.ndarray], end: int, pad: int, start: tuple[int, ...]) -> list[Hypothesis]:
        opened: list[Hypothesis] = [(0.0, [])]
        finished: list[Hypothesis] = []
        for step in range(self.max_tokens + 1):
            rows = scores([tokens for _, tokens in opened])
            if self.allowed:
                rows = np.stack([only(row, self.allowed(tokens)) for row, (_, tokens) in zip(rows, opened)])
            table = log_softmax(rows)
            for row, (_, tokens) in zip(table, opened):
                row[self.repeating([*start, *tokens])] = -np.inf
            table[:, pad] = -np.inf
            if step < self.min_tokens:
                table[:, end] = -np.inf
            if step == self.max_tokens:
                table[:, np.arange(table.shape[1]) != end] = -np.inf
            table += np.array([s for s, _ in opened])[:, None]
            ranked = [f for f in np.argsort(-table, axis=None, kind="stable")[: 2 * self.beams + 1] if table.flat[f] > -np.inf]
            best = [(float(table.flat[f]), *divmod(int(f), table.shape[1])) for f in ranked]
            self.margin = min([self.margin, *(a[0] - b[0] for a, b in zip(best, best[1:]))])
            best = best[: 2 * self.beams]
            for score, parent, token in best[: self.beams]:
                if token == end and len(finished) < self.beams:
                    finished.append((score / (step + 1) ** self.penalty, [*opened[parent][1], end]))
            opened = [(s, [*opened[p][1], t]) for s, p, t in best if t != end][: self.beams]
            if len(finished) == self.beams or not opened:
                break
        ordered = sorted(finished, key=lambda f: -f[0])
        self.margin = min([self.margin, *(a[0] - b[0] for a, b in zip(ordered, ordered[1:]))])
        return ordered

    def repeating(self, said: list[int]) -> list[int]:
        """Tokens that would complete an n-gram that was said."""
        n = self.ngram
        if n == 0 or len(said) < n:
            return []
        return [said[i + n - 1] for i in range(len(said) - n + 1) if said[i:i + n - 1] == said[len(said) - n + 1:]]


class OrtReference:
    def __init__(self, bundle: Path, threads: int = 2) -> None:
        from tokenizers import Tokenizer
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self.session = onnxruntime.InferenceSession(str(bundle / "model.onnx"), options, ["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
        self.config = json.loads((bundle / "config.json").read_text())
        self.start, self.end, self.pad = (self.config[k] for k in ("decoder_start_token_id", "eos_token_id", "pad_token_id"))

    def logits(self, pixel_values: np.ndarray, input_ids: np.ndarray, decoder_input_ids: np.ndarray) -> np.ndarray:
        inputs = {"pixel_values": pixel_values, "input_ids": input_ids, "decoder_input_ids": decoder_input_ids}
        return self.session.run(["logits"], inputs)[0]

    def pixels(self, image: Path) -> np.ndarray:
        """[1, 3, size, size]"""
        from PIL import Image
        from training.pictures import load_picture
        return load_picture(Image.open(image), self.config["image_size"]).numpy()

    def source(self, prompt: str) -> np.ndarray:
        """[1, length]"""
        return np.array([self.tokenizer.encode(prompt).ids], np.int64)

    def greedy(self, pixel_values: np.ndarray, input_ids: np.ndarray, max_tokens: int) -> tuple[list[int], list[np.ndarray]]:
        """Tokens of one sample, the end token included when it came, and the logits each was chosen from."""
        tokens, rows = [], []
        while len(tokens) < max_tokens and self.end not in tokens:
            rows.append(self.logits(pixel_values, input_ids, np.array([[self.start, *tokens]], np.int64))[0, -1])
            tokens.append(int(rows[-1].argmax()))
        return tokens, rows

    def beam(self, pixel_values: np.ndarray, input_ids: np.ndarray, rules: BeamRules, prefix: tuple[int, ...] = ()) -> list[Hypothesis]:
        """Finished hypotheses of one sample by fairseq's rules, best first; `prefix` is read after the start token."""
        def scores(opened: list[list[int]]) -> np.ndarray:
            rows = np.array([[self.start, *prefix, *tokens] for tokens in opened], np.int64)
            repeated = (np.repeat(a, len(opened), 0) for a in (pixel_values, input_ids))
            return self.logits(*repeated, rows)[:, -1]
        return rules.search(scores, self.end, self.pad, (self.start, *prefix))

    def answer_scores(self, pixel_values: np.ndarray, input_ids: np.ndarray, answers: list[list[int]],
                      among_answers: bool = False, prefix: tuple[int, ...] = ()) -> np.ndarray:
        """Log-probability of each answer and its end: over the vocabulary, or over the tokens that go on with an answer."""
        closed, found = [[*a, self.end] for a in answers], []
        for answer in closed:
            rows = self.logits(pixel_values, input_ids, np.array([[self.start, *prefix, *answer[:-1]]], np.int64))[0]
            total = 0.0
            for position, (row, token) in enumerate(zip(rows[len(prefix):], answer, strict=True)):
                if among_answers:
                    row = only(row, {c[position] for c in closed if c[:position] == answer[:position] and len(c) > position})
                total += log_softmax(row)[token]
            found.append(total)
        return np.array(found)
