"""The demo's byte-level BPE tokenizer, trained on the grammar itself: `python -m training.tokenizer OUT.json`.

Every noun of the scenes is one token when it follows a space, which the auxiliary loss of the training relies on.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from .language import CAPTION_PROMPT, ENTAILMENT_PROMPT, captions, hypothesis, question
from .scenes import make_scene, scene_rng
from .things import THINGS

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")
CORPUS_SCENES = 4000
TOKENIZER_PATH = Path(__file__).parent / "tokenizer.json"


def corpus() -> list[str]:
    lines = [f" {word}" for thing in THINGS for word in (thing.name, thing.plural) for _ in range(3)]
    for index in range(CORPUS_SCENES):
        rng = scene_rng("train", 77, index)
        scene = make_scene(rng, "train")
        lines += [f" {c}" for c in captions(scene)]
        lines.append(" " + ENTAILMENT_PROMPT.format(hypothesis=hypothesis(rng, scene).text))
        asked = question(rng, scene)
        lines += [f" {asked.text}", f" {asked.answer}", f" {CAPTION_PROMPT}"]
    return lines + [" yes no maybe"] * 3


def train_tokenizer(vocab_size: int = 1200) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, min_frequency=2, special_tokens=list(SPECIAL_TOKENS),
                                  initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return tokenizer


class TextCodec:
    """Text to token ids and back, with the conventions of OFA: a space first, <s> and </s> around a source."""

    def __init__(self, path: Path = TOKENIZER_PATH) -> None:
        self.tokenizer = Tokenizer.from_file(str(path))
        self.name_ids = [self.single(t.name) for t in THINGS]

    @property
    def vocab_size(self) -> int:
        return self.tokenizer.get_vocab_size()

    @lru_cache(maxsize=1 << 18)
    def encode(self, text: str) -> tuple[int, ...]:
        """Ids of " text", without <s> and </s>."""
        return tuple(self.tokenizer.encode(" " + text, add_special_tokens=False).ids)

    def source(self, text: str) -> tuple[int, ...]:
        return (0, *self.encode(text), 2)

    def decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode([i for i in ids if i > 3]).strip()

    def single(self, word: str) -> int:
        ids = self.encode(word)
        if len(ids) != 1:
            raise ValueError(f"'{word}' is {len(ids)} tokens, not one")
        return ids[0]


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else TOKENIZER_PATH
    train_tokenizer().save(str(out))
    print(f"{out}: {TextCodec(out).vocab_size} tokens, {out.stat().st_size} bytes")
