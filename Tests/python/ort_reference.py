"""Plain searches on ONNX Runtime's logits of a unified graph; the whole prefix is computed anew for every token."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def relative_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, relative to the largest expected magnitude."""
    assert found.shape == expected.shape, f"{found.shape} instead of {expected.shape}"
    assert np.isfinite(found).all()
    return float(np.abs(found - expected).max() / np.abs(expected).max())


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

    def beam(self, pixel_values: np.ndarray, input_ids: np.ndarray, beams: int, max_tokens: int) -> list[tuple[float, list[int]]]:
        """Hypotheses (rank, tokens) of one sample, best first.

        Rank: log-probability divided by the number of tokens, the end token counted. Of the 2 * beams most probable
        continuations those that end are kept aside until `beams` open ones are found. The search ends when `beams`
        ended and even at the longest no open one could pass the worst of them.
        """
        opened: list[tuple[float, list[int]]] = [(0.0, [])]
        ended: list[tuple[float, list[int]]] = []
        for _ in range(max_tokens):
            rows = np.array([[self.start, *tokens] for _, tokens in opened], np.int64)
            repeated = (np.repeat(a, len(opened), 0) for a in (pixel_values, input_ids))
            scores = log_softmax(self.logits(*repeated, rows)[:, -1]) + np.array([s for s, _ in opened])[:, None]
            best = np.argsort(-scores, axis=None, kind="stable")[: 2 * beams]
            following: list[tuple[float, list[int]]] = []
            for flat in best:
                parent, token = divmod(int(flat), scores.shape[1])
                score, tokens = float(scores[parent, token]), [*opened[parent][1], token]
                if len(following) == beams:
                    break
                if token == self.end:
                    ended.append((score / len(tokens), tokens))
                else:
                    following.append((score, tokens))
            opened = following
            ended = sorted(ended, key=lambda e: -e[0])[:beams]
            if len(ended) == beams and max(s for s, _ in opened) / max_tokens <= ended[-1][0]:
                return ended
        return sorted([*ended, *((s / len(t), t) for s, t in opened)], key=lambda e: -e[0])
