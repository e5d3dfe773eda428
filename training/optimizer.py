"""All parameters in one flat tensor: one AdamW update, one norm, one all-reduce of gradients between workers."""

from __future__ import annotations

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
    """AdamW over one flat view of the parameters; averages gradients over the workers of the process group."""

    def __init__(self, modules: list[nn.Module], weight_decay: float = 0.01, clip: float = 1.0) -> None:
        self.parameters = list({id(p): p for m in modules for p in m.parameters()}.values())
        sizes = [p.numel() for p in self.parameters]
        first = self.parameters[0]
        self.flat = torch.empty(sum(sizes), device=first.device)
        self.gradient = torch.zeros(sum(sizes) + 1, device=first.device)  # the last one carries the clock
        offset = 0
        for p, size in zip(self.parameters, sizes):
            piece, values = slice(offset, offset + size), p.data
            p.data, p.grad = _shaped(self.flat[piece], p.shape), _shaped(self.gradient[piece], p.shape)
            p.data.copy_(values)
            offset += size
        self.holder = nn.Parameter(self.flat)
        self.holder.grad = self.gradient[:-1]
        self.adam = torch.optim.AdamW([self.holder], lr=0.0, betas=(0.9, 0.98), weight_decay=weight_decay, fused=True)
        self.clip = clip

    def zero(self) -> None:
        self.gradient.zero_()

    def step(self, lr: float, clock: float) -> tuple[float, float]:
        """One update.  Returns the gradient's norm and the workers' mean clock, by which all set their next rate."""
        self.gradient[-1] = clock
        if dist.is_initialized():
            dist.all_reduce(self.gradient)
            self.gradient /= dist.get_world_size()
        clock = float(self.gradient[-1])
        norm = float(self.holder.grad.norm())
        if norm > self.clip:
            self.holder.grad.mul_(self.clip / norm)
        if norm == norm and norm < float("inf"):  # a batch with a NaN is left out
            self.adam.param_groups[0]["lr"] = lr
            self.adam.step()
        return norm, clock

    def state_dict(self) -> dict[str, Tensor]:
        return {"adam": self.adam.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.adam.load_state_dict(state["adam"])
