"""Train the demo model: `python -m training.train RUN_DIR --minutes 100 [--workers 2] [--resume] [--device cuda]`.

The schedule runs by the clock: the learning rate follows a cosine over `--minutes`, however many pictures that
allows.  First the stem alone learns to name what is in each cell, then everything is trained.  Checkpoints are
written every three minutes and `--resume` goes on from the last; `log.jsonl` holds the curves.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path

# Without these the CPU spends most of a step on page faults; malloc reads them when the process starts.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "8589934592", "MALLOC_TRIM_THRESHOLD_": "17179869184",
          "MALLOC_TOP_PAD_": "268435456"}

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from tqdm import tqdm  # noqa: E402

from .batches import make_batch  # noqa: E402
from .config import ModelConfig  # noqa: E402
from .model import UnifiedModel  # noqa: E402
from .objective import EARLY, LATE, CellHead, stem_loss, training_loss  # noqa: E402
from .optimizer import FlatAdamW  # noqa: E402
from .tokenizer import TextCodec  # noqa: E402

CHECKPOINT_SECONDS, LOG_STEPS = 180, 25
WARM_UP, EASY_UNTIL, DEPTHS_FROM, LATE_FROM = 0.03, 0.12, 0.30, 0.61  # shares of the schedule after the stem's part


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--minutes", type=float, required=True, help="length of the whole schedule")
    parser.add_argument("--stem-minutes", type=float, default=4.0)
    parser.add_argument("--batch", type=int, default=16, help="pictures a step and worker")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="data-parallel processes on this machine")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--init", type=Path, help="a model.onnx of this project to start from (skips the stem's part)")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--steps", type=int, default=0, help="stop after so many steps (for tests)")
    return parser.parse_args()


class Trainer:
    """One worker's model, optimiser, clock and log."""

    def __init__(self, args: argparse.Namespace, rank: int) -> None:
        self.args, self.rank = args, rank
        self.device = torch.device(args.device)
        # bf16 without the processor's instructions for it is ten times slower than fp32
        self.bf16 = self.device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
        torch.manual_seed(args.seed)
        self.codec = TextCodec()
        self.model = UnifiedModel(ModelConfig.demo(self.codec.vocab_size)).to(self.device)
        if args.init:
            from .init_from_onnx import load_weights
            load_weights(self.model, args.init)
        self.cell_head = CellHead(self.codec.name_ids, self.model.config.d_model).to(self.device)
        self.optimizer = FlatAdamW([self.model, self.cell_head], self.model.encoder.embed_images)
        self.step = self.images = 0
        self.clock = args.stem_minutes / args.minutes if args.init else 0.0  # share of the schedule done
        if args.resume:
            self.load()
        self.stem_share = args.stem_minutes / args.minutes
        self.loss = torch.compile(training_loss, dynamic=True) if args.compile else training_loss
        torch.manual_seed(args.seed * 1000 + 17 + rank + self.step)

    @property
    def checkpoint(self) -> Path:
        return self.args.run_dir / "last.ckpt"

    def load(self) -> None:
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.cell_head.load_state_dict(state["cell_head"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.images, self.clock = state["step"], state["images"], state["clock"]

    def save(self) -> None:
        state = {"model": self.model.state_dict(), "cell_head": self.cell_head.state_dict(),
                 "optimizer": self.optimizer.state_dict(), "config": self.model.config.to_dict(),
                 "step": self.step, "images": self.images, "clock": self.clock}
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(self.checkpoint)

    def rate(self, clock: float) -> float:
        """Warm up and fall along a cosine, once for the stem's part and once for the rest."""
        stem = clock < self.stem_share
        part = clock / self.stem_share if stem else (clock - self.stem_share) / (1 - self.stem_share)
        warm_up = min(1.0, (part + 1e-4) / WARM_UP)
        return self.args.lr * warm_up * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(part, 1))))

    def one_step(self, clock: float) -> tuple[dict, float]:
        size, workers = self.args.batch, self.args.workers
        part = (clock - self.stem_share) / (1 - self.stem_share)
        easy = 0.0 if part < 0 else max(0.0, 0.8 * (1 - part / EASY_UNTIL))
        batch = make_batch(self.codec, "train", self.args.seed, self.images + self.rank * size, size, easy,
                           part >= LATE_FROM)
        batch = batch.to(self.device)
        self.optimizer.zero()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            if part < 0:
                loss, report = stem_loss(self.model, self.cell_head, batch)
            else:
                share = 0.5 * min(1.0, max(0.0, (part - DEPTHS_FROM) / 0.1))
                loss, report = self.loss(self.model, self.cell_head, batch, share, LATE if part >= LATE_FROM else EARLY)
        loss.backward()
        self.images += size * workers
        self.step += 1
        return report, self.optimizer.step(self.rate(clock), together=part < 0)

    def run(self) -> None:
        args, started, base = self.args, time.monotonic(), self.clock
        saved, sums, log_path = started, {}, args.run_dir / "log.jsonl"
        bar = tqdm(total=round(args.minutes, 1), initial=round(base * args.minutes, 1), unit="min", file=sys.stderr,
                   disable=self.rank > 0, bar_format="{l_bar}{bar}| {n:.1f}/{total} min{postfix}", mininterval=5)
        self.model.train()
        if args.init:  # the statistics of the norms are not in model.onnx: keep them frozen
            self.model.encoder.embed_images.eval()
        while self.clock < 1 and not (args.steps and self.step >= args.steps):
            elapsed = base + (time.monotonic() - started) / 60 / args.minutes
            report, norm = self.one_step(self.clock)
            self.clock = self.agreed(elapsed)
            for name, value in {**report, "norm": norm}.items():
                sums.setdefault(name, []).append(float(value))
            if self.step % LOG_STEPS == 0 and self.rank == 0:
                entry = {name: round(sum(v) / len(v), 4) for name, v in sums.items()}
                entry |= {"step": self.step, "images": self.images, "minutes": round(self.clock * args.minutes, 2)}
                with log_path.open("a") as log:
                    log.write(json.dumps(entry) + "\n")
                bar.n = entry["minutes"]
                bar.set_postfix({k: v for k, v in entry.items() if k != "minutes"}, refresh=True)
                sums = {}
            if time.monotonic() - saved > CHECKPOINT_SECONDS and self.rank == 0:
                self.save()
                saved = time.monotonic()
        if self.rank == 0:
            self.save()

    def agreed(self, clock: float) -> float:
        """Rank 0's clock, so that all workers follow one schedule."""
        if not dist.is_initialized():
            return clock
        value = torch.tensor([clock], dtype=torch.float64)
        dist.broadcast(value, 0)
        return float(value)


def worker(rank: int, args: argparse.Namespace) -> None:
    if args.workers > 1:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", str(29000 + os.getppid() % 1000))
        dist.init_process_group("gloo", rank=rank, world_size=args.workers)
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // args.workers))
    Trainer(args, rank).run()
    if args.workers > 1:
        dist.destroy_process_group()


def main() -> None:
    if any(os.environ.get(k) != v for k, v in MALLOC.items()):
        os.execve(sys.executable, [sys.executable, "-m", "training.train", *sys.argv[1:]], {**os.environ, **MALLOC})
    args = arguments()
    args.run_dir.mkdir(parents=True, exist_ok=True)
    if args.workers > 1:
        torch.multiprocessing.spawn(worker, (args,), args.workers)
    else:
        worker(0, args)


if __name__ == "__main__":
    main()
