"""The other side of `mue bench --compare`: `python -m mue_bench.peer RUNTIME MODEL --image FILE ...` answers the commands
open, caption, beams and once on its standard input, a line each, with a line of JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from .forms import Pieces, Split, Times, Whole, summary
from .question import Bundle
from .runtimes import RUNTIMES, Unavailable, runtime


def peak_memory() -> int:
    """The largest resident set of this process so far, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


class Peer:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args

    def open(self) -> dict:
        args = self.args
        self.runtime = runtime(args.runtime, args.threads, args.precision)
        self.bundle = Bundle(args.model)
        self.before, begin = peak_memory(), time.perf_counter()
        if args.whole:
            self.form = Whole(self.runtime, self.bundle)
        elif args.pieces:
            self.form = Pieces(self.runtime, args.pieces, args.beams)
        else:
            self.form = Split(self.runtime, self.bundle)
        return {"engine": args.runtime, "version": self.runtime.version, "note": self.runtime.note,
                "load_ms": (time.perf_counter() - begin) * 1e3, "memory_bytes": peak_memory() - self.before}

    def caption(self) -> dict:
        times: Times = {}
        begin = time.perf_counter()
        tokens = self.form.tokens(
            self.bundle, self.bundle.pixels(self.args.image), self.bundle.ids(self.args.prompt), self.choose, times)
        is_finished = bool(tokens) and tokens[-1] == self.bundle.end
        answer = tokens[:-1] if is_finished else tokens
        text = self.bundle.text(answer)
        total = (time.perf_counter() - begin) * 1e3
        return {"tokens": answer, "text": text, "steps": len(tokens), "times_ms": {"caption": total, **summary(times)},
                "memory_bytes": peak_memory() - self.before}

    def choose(self, logits: np.ndarray | None, tokens: list[int]) -> int | None:
        """The next token; None when the answer is over. Without logits: whether it goes on."""
        wanted, end = self.args.tokens, self.bundle.end
        if len(tokens) >= (wanted or self.bundle.most) or (not wanted and tokens and tokens[-1] == end):
            return None
        if logits is None:
            return 0
        if wanted:
            logits = logits.copy()
            logits[end] = -np.inf
        return int(logits.argmax())

    def beams(self) -> dict:
        return {"times_ms": summary(self.form.beam_times(self.args.tokens or self.bundle.most))}

    def once(self) -> dict:
        self.form.once(self.bundle, self.bundle.pixels(self.args.image), self.bundle.ids(self.args.prompt))
        return {"memory_bytes": peak_memory() - self.before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runtime", choices=list(RUNTIMES))
    parser.add_argument("model", type=Path)
    parser.add_argument("--image", required=True)
    parser.add_argument("--prompt")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--tokens", type=int, default=0)
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--pieces", type=Path)
    parser.add_argument("--whole", action="store_true")
    peer = Peer(parser.parse_args())
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        command = line.strip()
        try:
            if command not in ("open", "caption", "beams", "once"):
                raise Unavailable(f"there is no command '{command}'")
            answer = getattr(peer, command)()
        except ImportError as error:
            answer = {"error": f"{error}: `{sys.executable} -m pip install onnx tokenizers pillow`"}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}" if not isinstance(error, Unavailable) else str(error)}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
