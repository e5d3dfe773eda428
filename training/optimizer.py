"""All parameters in one flat tensor: few AdamW updates, one norm, one all-reduce of gradients between workers."""

from __future__ import annotations

import itertools

import torch
import torch.distributed as dist
from torch import Tensor, nn


def _shaped(piece: Tensor, shape: torch.Size) -> Tensor:
    """A view of a parameter's shape; convolutions' with channels last, as the CPU likes them."""
    if len(shape) != 4:
        return piece.view(shape)
    outputs, inputs, height, width = shape
    return piece.view(outputs, height, width, inputs).permute(0, 3, 1, 2)


class FlatAdamW:
    """AdamW over flat views of the parameters; averages gradients over the workers of the process group.

    The parameters of `slow` learn at `slow_scale` times the rate: the stem knows its work when training proper
    begins, and a full rate makes it forget.
    """

    def __init__(self, modules: list[nn.Module], slow: nn.Module, slow_scale: float = 0.3,
                 weight_decay: float = 0.01, clip: float = 1.0) -> None:
        parameters = list({id(p): p for m in modules for p in m.parameters()}.values())
        is_slow = {id(p) for p in slow.parameters()}
        total, device = sum(p.numel() for p in parameters), parameters[0].device
        self.flat, self.gradient = torch.empty(total, device=device), torch.zeros(total, device=device)
        self.holders: list[nn.Parameter] = []  # one for each run of parameters with the same rate
        self.scales: list[float] = []
        offset = 0
        for slowly, run in itertools.groupby(parameters, lambda p: id(p) in is_slow):
            start = offset
            for p in run:
                piece, values = slice(offset, offset + p.numel()), p.data
                p.data, p.grad = _shaped(self.flat[piece], p.shape), _shaped(self.gradient[piece], p.shape)
                p.data.copy_(values)
                offset += p.numel()
            holder = nn.Parameter(self.flat[start:offset])
            holder.grad = self.gradient[start:offset]
            self.holders.append(holder)
            self.scales.append(slow_scale if slowly else 1.0)
        self.adam = torch.optim.AdamW([{"params": [h]} for h in self.holders], lr=0.0, betas=(0.9, 0.98),
                                      weight_decay=weight_decay, fused=True)
        self.clip = clip

    def zero(self) -> None:
        self.gradient.zero_()

    def step(self, rate: float, together: bool) -> float:
        """One update; `together`: at one rate for all.  Returns the gradient's norm."""
        if dist.is_initialized():
            dist.all_reduce(self.gradient)
            self.gradient /= dist.get_world_size()
        norm = float(self.gradient.norm())
        if norm > self.clip:
            self.gradient.mul_(self.clip / norm)
        if norm == norm and norm < float("inf"):  # a batch with a NaN is left out
            for group, scale in zip(self.adam.param_groups, self.scales):
                group["lr"] = rate if together else rate * scale
            self.adam.step()
        return norm

    def state_dict(self) -> dict:
        """The moments of all parameters as flat tensors, whatever the runs."""
        states = [self.adam.state[h] for h in self.holders]
        return {**{name: torch.cat([s[name] for s in states]) for name in ("exp_avg", "exp_avg_sq")},
                "steps": float(states[0]["step"])}

    def load_state_dict(self, state: dict) -> None:
        offset = 0
        for holder in self.holders:
            piece = slice(offset, offset + holder.numel())
            self.adam.state[holder] = {"step": torch.tensor(state["steps"]), "exp_avg": state["exp_avg"][piece].clone(),
                                       "exp_avg_sq": state["exp_avg_sq"][piece].clone()}
            offset += holder.numel()
