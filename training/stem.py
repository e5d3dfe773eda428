"""The image stem: ResNet v1.5 bottlenecks at OFA's strides (16 in all), much narrower."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride), 1x1 convolutions beside a shortcut."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.bn3(self.conv3(y)) + shortcut)


class Stem(nn.Module):
    """[batch, 3, S, S] -> [batch, (S / 16)^2, channels], row by row."""

    def __init__(self, widths: tuple[int, int, int], blocks: tuple[int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = widths[0]
        for number, (width, count) in enumerate(zip(widths, blocks), start=1):
            layer = []
            for block in range(count):
                stride = 2 if number > 1 and block == 0 else 1
                layer.append(Bottleneck(channels, width, stride))
                channels = width * Bottleneck.expansion
            setattr(self, f"layer{number}", nn.Sequential(*layer))
        self.channels = channels

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(pixels))))
        x = self.layer3(self.layer2(self.layer1(x)))
        return x.flatten(2).transpose(1, 2)


@torch.no_grad()
def fold_batch_norms(stem: Stem) -> None:
    """Put every BatchNorm into the convolution before it (evaluation mode only); the norms become identities."""
    owners = [stem, *(m for m in stem.modules() if isinstance(m, Bottleneck))]
    pairs = [(o, f"conv{i}", f"bn{i}") for o in owners for i in (1, 2, 3) if hasattr(o, f"conv{i}")]
    pairs += [(o.downsample, "0", "1") for o in owners if getattr(o, "downsample", None) is not None]
    for owner, conv_name, norm_name in pairs:
        conv, norm = getattr(owner, conv_name), getattr(owner, norm_name)
        if isinstance(norm, nn.BatchNorm2d):
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            conv.weight.mul_(scale[:, None, None, None])
            conv.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
            setattr(owner, norm_name, nn.Identity())
