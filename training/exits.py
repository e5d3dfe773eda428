"""MuE's exit rule: similarity of successive states, thresholds, and their schedules over generated tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

NEVER = 1.0


@dataclass(frozen=True)
class Exits:
    """When each stream stops.  A threshold of 1 or more means never; the default is full depth everywhere."""

    image: float = NEVER
    text: float = NEVER
    decoder: float = NEVER
    schedule: str = "constant"  # or "paper", "released"
    beta: float = 0.95
    tau: float = 1.0

    def decoder_threshold(self, step: int, steps: int) -> float:
        """The threshold for the token generated at `step` = 0, 1, ... of at most `steps`."""
        if self.decoder >= NEVER:
            return NEVER
        if self.schedule == "constant":
            return self.decoder
        if self.schedule == "paper":
            value = self.beta * self.decoder + (1 - self.beta) * math.exp(-self.tau * step / steps)
            return min(1.0, max(0.0, value))
        if self.schedule == "released":
            length = steps + 1
            return NEVER if step < length / 3 else 0.9 * self.decoder + 0.1 * math.exp(-(step + 1) / length)
        raise ValueError(f"unknown schedule '{self.schedule}'")

    def to_json(self) -> dict:
        decoder = {"schedule": self.schedule, "theta": self.decoder, "beta": self.beta, "tau": self.tau}
        return {"image": self.image, "text": self.text, "decoder": decoder}

    @classmethod
    def from_json(cls, entry: dict) -> Exits:
        d = entry["decoder"]
        return cls(entry["image"], entry["text"], d["theta"], d["schedule"], d.get("beta", 0.95), d.get("tau", 1.0))


def similarity(state: Tensor, previous: Tensor, mask: Tensor | None = None) -> Tensor:
    """Cosine of [batch, tokens, d] states, flattened over a sample's tokens and channels: [batch]."""
    if mask is not None:
        state, previous = state * mask[..., None], previous * mask[..., None]
    a, b = state.flatten(1).double(), previous.flatten(1).double()
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))


def similarities(states: list[Tensor], mask: Tensor | None = None) -> Tensor:
    """s_1 ... s_n of one stream: [batch, layers]."""
    return torch.stack([similarity(a, b, mask) for b, a in zip(states, states[1:])], 1)


def exit_layers(profile: Tensor, threshold: float) -> Tensor:
    """The first layer (from 1) whose similarity is above the threshold, else the last: [batch]."""
    layers = profile.shape[1]
    above = (profile > threshold) if threshold < NEVER else torch.zeros_like(profile, dtype=torch.bool)
    above[:, -1] = True
    return torch.where(above, torch.arange(1, layers + 1, device=profile.device), layers + 1).amin(1)


def state_at(states: list[Tensor], layers: Tensor) -> Tensor:
    """Each sample's state at its own layer: [batch, tokens, d]."""
    return torch.stack(states)[layers, torch.arange(len(layers), device=layers.device)]
