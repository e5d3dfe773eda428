"""The `mue` command line as Python functions; every call is a process of its own."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np


class MueCommand:
    def __init__(self, path: Path, work: Path) -> None:
        self.path, self.work = path, work

    def run(self, *arguments: object) -> subprocess.CompletedProcess:
        return subprocess.run([str(a) for a in (self.path, *arguments)], capture_output=True, text=True, timeout=600)

    def output(self, *arguments: object) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, f"{' '.join(map(str, arguments))[:300]}\n{done.stderr}"
        return done.stdout

    def generate(self, bundle: Path, images: list[Path], prompts: list[str], *, exits: tuple[float, ...] | str = "off",
                 schedule: str = "constant", beams: int = 1, max_tokens: int = 0, **options: object) -> list[dict]:
        """Reports with similarities, one per question, all answered in one batch. `beams` 0 takes the model's."""
        arguments = ["generate", bundle, "--json", "--similarities", _setting(exits), "--schedule", schedule,
                     *(["--beams", beams] if beams else []), "--max-tokens", max_tokens, *_options(options), *_pairs(images, prompts)]
        return _reports(self.output(*arguments))

    def score(self, bundle: Path, images: list[Path], prompts: list[str], answers: list[str],
              exits: tuple[float, ...] | str = "off", **options: object) -> list[dict]:
        return _reports(self.output("score", bundle, "--json", "--similarities", _setting(exits), "--answers",
                                    ",".join(answers), *_options(options), *_pairs(images, prompts)))

    def forward(self, bundle: Path, pixel_values: np.ndarray, input_ids: np.ndarray, decoder_input_ids: np.ndarray,
                exits: tuple[float, ...] | str = "off") -> tuple[np.ndarray, list[dict]]:
        """Logits [batch, decoder length, vocabulary] and a report per sample."""
        logits, _, reports = self.forward_with_states(bundle, pixel_values, input_ids, decoder_input_ids, exits)
        return logits, reports

    def forward_with_states(self, bundle: Path, pixel_values: np.ndarray, input_ids: np.ndarray,
                            decoder_input_ids: np.ndarray, exits: tuple[float, ...] | str = "off"
                            ) -> tuple[np.ndarray, np.ndarray, list[dict]]:
        """As `forward`, with the encoder's output [batch, image and text tokens, width]."""
        folder = Path(tempfile.mkdtemp(dir=self.work))
        arguments = ["forward", bundle, "--output-dir", folder, "--similarities", _setting(exits)]
        inputs = {"pixel-values": pixel_values.astype(np.float32), "input-ids": input_ids.astype(np.int64),
                  "decoder-input-ids": decoder_input_ids.astype(np.int64)}
        for name, values in inputs.items():
            np.save(folder / f"{name}.npy", values)
            arguments += [f"--{name}", folder / f"{name}.npy"]
        self.output(*arguments)
        return (np.load(folder / "logits.npy"), np.load(folder / "encoder_hidden_states.npy"),
                _reports((folder / "report.json").read_text()))

    def run_graph(self, model: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs of the whole graph as it stands."""
        folder = Path(tempfile.mkdtemp(dir=self.work))
        arguments = ["run", model, "--output-dir", folder / "out"]
        for name, values in inputs.items():
            np.save(folder / f"{name}.npy", values)
            arguments += ["--input", f"{name}={folder / name}.npy"]
        self.output(*arguments)
        return {p.stem: np.load(p) for p in (folder / "out").glob("*.npy")}

    def inspect(self, model: Path) -> dict:
        return json.loads(self.output("inspect", model, "--json"))


def _setting(exits: tuple[float, ...] | str) -> str:
    # One word, for a number may be negative.
    return "--exits=" + (exits if isinstance(exits, str) else ",".join(map(repr, exits)))


def _options(options: dict[str, object]) -> list[object]:
    """no_repeat_ngram_size=3 as --no-repeat-ngram-size 3; a list as its parts joined by commas."""
    found: list[object] = []
    for name, value in options.items():
        found += [f"--{name.replace('_', '-')}", ",".join(value) if isinstance(value, list) else value]
    return found


def _pairs(images: list[Path], prompts: list[str]) -> list[object]:
    return [a for i in images for a in ("--image", i)] + [a for p in prompts for a in ("--prompt", p)]


def _reports(text: str) -> list[dict]:
    found = json.loads(text)
    return found if isinstance(found, list) else [found]
