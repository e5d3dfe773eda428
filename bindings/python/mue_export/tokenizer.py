"""tokenizer.json from GPT-2's byte-level BPE as fairseq's dictionary numbers it.

Ids: 0-3 special, then 4 + a GPT-2 id's line in dict.txt, <mask>, <code_0..8191> (image codes), <bin_0..> (coordinates).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .errors import ExportError

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
CODES = 8192
FILES = ("encoder.json", "vocab.bpe", "dict.txt")


def find_bpe(given: Path | None, checkpoint: Path) -> Path:
    """The folder with OFA's vocabulary: as given, named by MUE_OFA_BPE, or beside the checkpoint (also in BPE/)."""
    if given is None and os.environ.get("MUE_OFA_BPE"):
        given = Path(os.environ["MUE_OFA_BPE"])
    candidates = [given] if given is not None else [checkpoint.parent, checkpoint.parent / "BPE"]
    for folder in candidates:
        if all((folder / name).is_file() for name in FILES):
            return folder
    if given is not None:
        raise ExportError(f"{given}: has not all of {', '.join(FILES)}")
    raise ExportError(f"no vocabulary beside {checkpoint}: give --bpe FOLDER with {', '.join(FILES)} "
                      "(utils/BPE of OFA's repository)")


def tokenizer_json(folder: Path, vocabulary_size: int) -> dict[str, Any]:
    encoder, lines, merges = _read(folder)
    tokens = {str(number): token for token, number in encoder.items()}
    vocabulary = {token: index for index, token in enumerate(SPECIAL)}
    for line, entry in enumerate(lines):
        # fairseq pads its dictionary with words that no text gives; they keep their numbers.
        token = tokens.pop(entry, entry)
        if token in vocabulary:
            raise ExportError(f"{folder / 'dict.txt'}: line {line + 1} repeats '{entry}'")
        vocabulary[token] = len(SPECIAL) + line
    if tokens:
        raise ExportError(f"{folder / 'dict.txt'}: has no line for token {min(map(int, tokens))} of encoder.json")
    mask = len(vocabulary)
    bins = vocabulary_size - mask - 1 - CODES
    if bins < 0:
        raise ExportError(f"tensor encoder.embed_tokens.weight: a vocabulary of {vocabulary_size} is not OFA's "
                          f"({mask + 1} words, {CODES} codes, bins): this vocabulary does not belong to the checkpoint")
    words = [*SPECIAL, "<mask>", *(f"<code_{i}>" for i in range(CODES)), *(f"<bin_{i}>" for i in range(bins))]
    ids = [*range(len(SPECIAL)), *range(mask, vocabulary_size)]
    added = [{"id": id_, "content": word, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              # Codes and bins are answers: they stay when special tokens are left out of a text.
              "special": id_ <= mask} for id_, word in zip(ids, words)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    start, end = ({"SpecialToken": {"id": token, "type_id": 0}} for token in ("<s>", "</s>"))
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [start, {"Sequence": {"id": "A", "type_id": 0}}, end],
            "pair": [start, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}, end],
            "special_tokens": {token: {"id": token, "ids": [id_], "tokens": [token]}
                               for token, id_ in (("<s>", 0), ("</s>", 2))}},
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": vocabulary, "merges": merges}}


def _read(folder: Path) -> tuple[dict[str, int], list[str], list[list[str]]]:
    try:
        encoder = json.loads((folder / "encoder.json").read_text("utf-8"))
        lines = [line.rsplit(" ", 1)[0] for line in (folder / "dict.txt").read_text("utf-8").split("\n") if line]
        text = (folder / "vocab.bpe").read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ExportError(f"{folder}: the vocabulary cannot be read: {error}") from None
    if not isinstance(encoder, dict) or not all(type(v) is int for v in encoder.values()):
        raise ExportError(f"{folder / 'encoder.json'}: not a table of tokens and numbers")
    merges = [line.split(" ") for line in text.split("\n") if line and not line.startswith("#version")]
    for pair in merges:
        if len(pair) != 2 or any(part not in encoder for part in (*pair, "".join(pair))):
            raise ExportError(f"{folder / 'vocab.bpe'}: '{' '.join(pair)}' joins no two tokens of encoder.json")
    return encoder, lines, merges
