"""tokenizer.json of OFA bundles against GPT-2's byte-level BPE with fairseq's numbers, written here a second time.

The engine is compared with the `tokenizers` package on the same file and kind of lines: make_text_samples.py, "ofa".
"""

from __future__ import annotations

import json
import os
import random
import unicodedata
from functools import lru_cache

import pytest
import regex
from tokenizers import Tokenizer

from make_text_samples import line
from mue_export.errors import ExportError
from mue_export.tokenizer import tokenizer_json

VOCABULARY = 59457
# Text that is one token wherever it stands.
ADDED = regex.compile(r"<s>|<pad>|</s>|<unk>|<mask>|<code_(?:\d|[1-9]\d+)>|<bin_(?:\d|[1-9]\d+)>")
# Source: encoder.py of GPT-2.
PIECES = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")


class Reference:
    """GPT-2's encoder, then fairseq's dictionary: the number of a GPT-2 id is 4 + its line in dict.txt."""

    def __init__(self, folder):
        self.ids = json.loads((folder / "encoder.json").read_text("utf-8"))
        merges = (folder / "vocab.bpe").read_text("utf-8").split("\n")[1:-1]
        self.ranks = {tuple(m.split()): rank for rank, m in enumerate(merges)}
        lines = (folder / "dict.txt").read_text("utf-8").splitlines()
        self.numbers = {entry.split()[0]: 4 + row for row, entry in enumerate(lines)}
        special = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4 + len(lines)}
        self.added = {**special, **{f"<code_{i}>": 50265 + i for i in range(8192)},
                      **{f"<bin_{i}>": 58457 + i for i in range(1000)}}
        visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
        hidden = [b for b in range(256) if b not in visible]
        self.bytes = {b: chr(b) for b in visible} | {b: chr(256 + i) for i, b in enumerate(hidden)}
        self.piece = lru_cache(1 << 20)(self._piece)

    def encode(self, text):
        found, start = [], 0
        for match in ADDED.finditer(text):
            if match.group() in self.added:
                found += [*self._plain(text[start:match.start()]), self.added[match.group()]]
                start = match.end()
        return [0, *found, *self._plain(text[start:]), 2]

    def _plain(self, text):
        return [i for piece in PIECES.findall(text) for i in self.piece(piece)]

    def _piece(self, piece):
        word = [self.bytes[b] for b in piece.encode("utf-8")]
        while len(word) > 1:
            best = min(zip(word, word[1:]), key=lambda pair: self.ranks.get(pair, len(self.ranks)))
            if best not in self.ranks:
                break
            joined, i = [], 0
            while i < len(word):
                step = 2 if tuple(word[i:i + 2]) == best else 1
                joined.append("".join(word[i:i + step]))
                i += step
            word = joined
        return [self.numbers[str(self.ids[token])] for token in word]


@pytest.fixture(scope="module")
def reference(ofa_bpe):
    return Reference(ofa_bpe)


@pytest.fixture(scope="module")
def tokenizer(ofa_bpe):
    return Tokenizer.from_str(json.dumps(tokenizer_json(ofa_bpe, VOCABULARY)))


def assigned(text):
    """Without characters that Python's Unicode lacks: `regex` and `tokenizers` are of different years, and disagree on those."""
    return "".join(c for c in text if unicodedata.category(c) != "Cn")


def test_ten_thousand_lines(tokenizer, reference):
    seed = int(os.environ.get("MUE_SEED", random.SystemRandom().randrange(1 << 30)))
    rng = random.Random(seed)
    lines = ["", " ", "  ", "\n", " <code_8191><code_8192> <bin_07>", "<s></s>", "x" * 2000,
             *(assigned(line(rng)) for _ in range(9993))]
    for text, encoding in zip(lines, tokenizer.encode_batch(lines)):
        assert encoding.ids == reference.encode(text), f"seed {seed}: {text!r}"


def test_known_ids(tokenizer):
    """Of the published models."""
    assert tokenizer.get_vocab_size() == VOCABULARY
    encode = lambda text: tokenizer.encode(text).ids
    assert encode(" what does the image describe?") == [0, 99, 473, 5, 2274, 6190, 116, 2]
    assert [encode(text)[1:-1] for text in (" yes", " no", " maybe")] == [[4420], [117], [2085]]
    assert [tokenizer.token_to_id(t) for t in ("<mask>", "<code_0>", "<code_8191>", "<bin_0>", "<bin_999>")] == [
        50264, 50265, 58456, 58457, 59456]
    assert encode("") == [0, 2]


def test_texts_come_back(tokenizer):
    for text in (" what does the image describe?", " naïve 你好 😀\n\tx=1", ""):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert tokenizer.decode([0, 58457, 58470, 2]) == "<bin_0><bin_13>"  # answers, unlike </s>


def copied(ofa_bpe, folder, **changes):
    for name in ("encoder.json", "vocab.bpe", "dict.txt"):
        content = (ofa_bpe / name).read_text("utf-8")
        (folder / name).write_text(changes.get(name.split(".")[0], lambda c: c)(content), "utf-8")
    return folder


@pytest.mark.parametrize("reason, changes", [
    ("has no line for token", {"dict": lambda c: c.split("\n", 1)[1]}),
    ("repeats", {"dict": lambda c: c + c.split("\n", 1)[0] + "\n"}),
    ("joins no two tokens", {"vocab": lambda c: c + "qqq zzz\n"}),
    ("joins no two tokens", {"vocab": lambda c: c + "a b c\n"}),
    ("cannot be read", {"encoder": lambda c: c[:-1]}),
    ("not a table", {"encoder": lambda c: "[1, 2]"}),
])
def test_damaged_vocabularies(ofa_bpe, tmp_path, reason, changes):
    with pytest.raises(ExportError, match=reason):
        tokenizer_json(copied(ofa_bpe, tmp_path, **changes), VOCABULARY)


def test_vocabulary_of_another_model(ofa_bpe):
    with pytest.raises(ExportError, match="does not belong"):
        tokenizer_json(ofa_bpe, 50265)
