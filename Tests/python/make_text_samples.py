"""Writes what the `tokenizers` package makes of some thousand lines of mixed text, for the Swift tests.

    python Tests/python/make_text_samples.py DIRECTORY [--lines 10000] [--every-scalar] [--ofa-bpe FOLDER]

DIRECTORY/text/lines.json holds the lines; each DIRECTORY/text/NAME/ a tokenizer.json (or vocab.json and merges.txt) and
expected.json with, per line, the ids with and without special tokens and the texts they decode to. Point
MUE_PARITY_DATA at DIRECTORY and run the Swift tests.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "bindings/python"))

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

WORDS = ("the a of image picture dog cat red green apple describe what does is left right above under two three yes no "
         "maybe don't it's we'll they've I'm you'd 'tis straße naïve café Ångström Привет мир 你好 世界 こんにちは "
         "안녕하세요 مرحبا שלום नमस्ते ไทย e\u0301a\u0308 1234 3.14 ½ ⅷ ２０２６ x=y+z; def f(x): return x**2 // comment "
         "<html> </s> <s> <mask> <pad> <code_12> http://example.org/a?b=c&d=%20 C++ #include \"quoted\" …—–").split()
EMOJI = "😀🐶🍎👩‍👩‍👧‍👦🇩🇪👍🏽❤️🧪🫠"
SPACES = [" ", "  ", "     ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2028", "\u0085", "\u200b", " \n ", "\x0b\x0c"]
CONTROLS = [chr(c) for c in range(32)] + ["\x7f", "\u0080", "\u009f", "\ufeff", "\ufffd", "\u202e"]


def scalar(rng):
    """A random Unicode scalar, most often from the planes that are in use."""
    while True:
        c = rng.choice([rng.randrange(0x250), rng.randrange(0x3000), rng.randrange(0x10000), rng.randrange(0x20000),
                        rng.randrange(0x110000)])
        if not 0xD800 <= c <= 0xDFFF:
            return chr(c)


def line(rng):
    kind = rng.random()
    if kind < 0.01:
        return ""
    if kind < 0.02:
        return rng.choice(SPACES) * rng.randrange(1, 40)
    if kind < 0.03:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randrange(100, 600)))
    if kind < 0.04:
        return rng.choice(["a", "ab", "!", "0", "😀", "\u0301"]) * rng.randrange(10, 300)
    parts = []
    for _ in range(rng.randrange(1, 25)):
        pick = rng.random()
        if pick < 0.70:
            word = rng.choice(WORDS)
            parts.append(rng.choice([word, word, word.upper(), word.title()]))
        elif pick < 0.78:
            parts.append(rng.choice(list(EMOJI)))
        elif pick < 0.84:
            parts.append(rng.choice(CONTROLS))
        elif pick < 0.92:
            parts.append("".join(scalar(rng) for _ in range(rng.randrange(1, 8))))
        else:
            parts.append("".join(rng.choice("0123456789.,'") for _ in range(rng.randrange(1, 12))))
        parts.append(rng.choice(SPACES) if rng.random() < 0.25 else rng.choice([" ", " ", " ", ""]))
    return "".join(parts)


def every_scalar():
    """Each scalar of the planes in use beside a letter, a number, a sign, a space and a mark of a low combining class."""
    scalars = [c for c in [*range(0x33480), *range(0xE0000, 0xE0200)] if not 0xD800 <= c <= 0xDFFF]
    for start in range(0, len(scalars), 8):
        yield "".join(f"a{c}1{c}!{c} e{c}\u0334" for c in map(chr, scalars[start:start + 8]))


def trained(lines, prefix_space, vocabulary=1536, normalizer=None, added=()):
    """A byte-level BPE as models/demo uses it."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.add_tokens(list(added))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>",
                                                             special_tokens=[("<s>", 0), ("</s>", 2)])
    return tokenizer


def character_bpe(lines):
    """Character BPE with byte fallback, digits apart and an end-of-word suffix: everything that byte-level is not."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(" ", "▁"),
                                                 normalizers.Prepend("▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split("▁", "merged_with_next"), pre_tokenizers.Digits(individual_digits=True)])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(vocab_size=900, limit_alphabet=200, show_progress=False,
                                  special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)])
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def words_bpe(lines):
    """Lower-cased words and punctuation with an end-of-word suffix; unknown characters."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase(),
                                                 normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits()])
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    trainer = trainers.BpeTrainer(vocab_size=900, limit_alphabet=150, show_progress=False,
                                  special_tokens=["<unk>", "<s>", "</s>"], end_of_word_suffix="</w>")
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.post_processor = processors.BertProcessing(("</s>", 2), ("<s>", 1))
    return tokenizer


def write(folder, name, tokenizer, lines, save=True):
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    if save:
        tokenizer.save(str(target / "tokenizer.json"))
    ids = [e.ids for e in tokenizer.encode_batch(lines)]
    plain = [e.ids for e in tokenizer.encode_batch(lines, add_special_tokens=False)]
    # The package trims nothing here but panics on no tokens at all with a BPEDecoder.
    expected = {
        "ids": ids,
        "plain": plain,
        "decoded": [tokenizer.decode(i) if i else "" for i in ids],
        "with_special": [tokenizer.decode(i, skip_special_tokens=False) if i else "" for i in ids],
        "vocabulary": tokenizer.get_vocab_size(),
    }
    (target / "expected.json").write_text(json.dumps(expected))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--lines", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--every-scalar", action="store_true", help="and lines with every scalar of the planes in use")
    shared = os.environ.get("MUE_SHARED") or pathlib.Path(__file__).parents[3] / "shared"
    parser.add_argument("--ofa-bpe", type=pathlib.Path, default=pathlib.Path(shared) / "ofa-bpe",
                        help="a folder with GPT-2's encoder.json and vocab.bpe; left out when there is none")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    print("seed", arguments.seed)

    folder = arguments.directory / "text"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [line(rng) for _ in range(arguments.lines)]
    lines[:6] = ["", " ", "\x00", "a\x00b", "<s></s><mask>", "x" * 20000]
    lines += every_scalar() if arguments.every_scalar else ()
    (folder / "lines.json").write_text(json.dumps(lines, ensure_ascii=False))

    corpus = [line(rng) for _ in range(2000)]
    write(folder, "demo", trained(corpus, False), lines)
    write(folder, "prefix-space", trained(corpus, True), lines)
    added = [AddedToken("<mask>", lstrip=True, special=True), AddedToken("<pad2>", rstrip=True),
             AddedToken("dog", single_word=True), AddedToken("CAT", single_word=True, normalized=True),
             AddedToken("你好", normalized=False), AddedToken("the image"), AddedToken("the"),
             *[AddedToken(f"<code_{i}>") for i in range(50)]]
    write(folder, "added-tokens", trained(corpus, True, normalizer=normalizers.NFC(), added=added), lines)
    write(folder, "lowercase", trained(corpus, False, normalizer=normalizers.Lowercase(), added=[AddedToken("dog")]), lines)
    write(folder, "characters", character_bpe(corpus), lines)
    write(folder, "words", words_bpe(corpus), lines)

    split = trained(corpus, False)
    split.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"),
                             "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    split.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    write(folder, "split", split, lines)

    if (arguments.ofa_bpe / "encoder.json").exists():
        target = folder / "gpt2-files"
        target.mkdir(exist_ok=True)
        shutil.copyfile(arguments.ofa_bpe / "encoder.json", target / "vocab.json")
        shutil.copyfile(arguments.ofa_bpe / "vocab.bpe", target / "merges.txt")
        for name, prefix in [("gpt2-files", False), ("gpt2-prefix", True)]:
            tokenizer = Tokenizer(models.BPE.from_file(str(target / "vocab.json"), str(target / "merges.txt")))
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
            tokenizer.decoder = decoders.ByteLevel()
            tokenizer.add_special_tokens(["<|endoftext|>"])
            write(folder, name, tokenizer, lines, save=prefix)
        from mue_export.tokenizer import tokenizer_json  # what a bundle of an OFA checkpoint holds
        ofa = json.dumps(tokenizer_json(arguments.ofa_bpe, 59457), ensure_ascii=False)
        write(folder, "ofa", Tokenizer.from_str(ofa), lines, save=False)
        (folder / "ofa/tokenizer.json").write_text(ofa, "utf-8")
    else:
        print("no GPT-2 vocabulary at", arguments.ofa_bpe, "- its samples are left out")


if __name__ == "__main__":
    main()
