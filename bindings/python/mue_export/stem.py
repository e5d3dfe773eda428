"""OFA's image stem: the first three stages of a ResNet v1.5 (He et al. 2015; the stride sits in the 3x3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .sizes import CHANNELS


class Bottleneck(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int, first: bool) -> None:
        super().__init__()
        outputs = width * 4
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = None
        if first:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.bn3(self.conv3(y)) + shortcut)


class Stem(nn.Module):
    """[batch, 3, S, S] -> [batch, (S / 16)^2, 1024], row by row."""

    def __init__(self, blocks: tuple[int, int, int]) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, CHANNELS[0], 7, 2, 3, bias=False), nn.BatchNorm2d(CHANNELS[0])
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = CHANNELS[0]
        for stage, (width, count) in enumerate(zip(CHANNELS, blocks), start=1):
            layer = []
            for i in range(count):
                layer.append(Bottleneck(inputs, width, 2 if stage > 1 and i == 0 else 1, i == 0))
                inputs = width * 4
            setattr(self, f"layer{stage}", nn.Sequential(*layer))

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(pixels))))
        return self.layer3(self.layer2(self.layer1(x))).flatten(2).transpose(1, 2)

    @torch.no_grad()
    def fold_batch_norms(self) -> None:
        """Every BatchNorm becomes part of the convolution before it."""
        for owner in [m for m in self.modules() if hasattr(m, "conv1")]:
            for i in (1, 2, 3):
                if hasattr(owner, f"conv{i}"):
                    _fold(owner, f"conv{i}", f"bn{i}")
            if getattr(owner, "downsample", None) is not None:
                _fold(owner.downsample, "0", "1")


def _fold(owner: nn.Module, convolution: str, norm: str) -> None:
    conv, bn = getattr(owner, convolution), getattr(owner, norm)
    scale = bn.weight.double() / torch.sqrt(bn.running_var.double() + bn.eps)
    weight = (conv.weight.double() * scale[:, None, None, None]).float()
    bias = (bn.bias.double() - bn.running_mean.double() * scale).float()
    conv.weight, conv.bias = nn.Parameter(weight, requires_grad=False), nn.Parameter(bias, requires_grad=False)
    setattr(owner, norm, nn.Identity())
