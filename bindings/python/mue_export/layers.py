"""Attention and the pre-norm layers of OFA, with the tensor names of its published code."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .sizes import OFASizes


class Attention(nn.Module):
    """Multi-head attention; q scaled by (2 d_h)^-0.5, each head's output by c_attn."""

    def __init__(self, sizes: OFASizes) -> None:
        super().__init__()
        d = sizes.width
        self.heads, self.head_width, self.scale = sizes.heads, d // sizes.heads, sizes.scale
        self.q_proj, self.k_proj = nn.Linear(d, d), nn.Linear(d, d)
        self.v_proj, self.out_proj = nn.Linear(d, d), nn.Linear(d, d)
        self.c_attn = nn.Parameter(torch.ones(sizes.heads))

    def split(self, x: Tensor) -> Tensor:
        """[batch, tokens, d] -> [batch, heads, tokens, d_h]"""
        return x.view(x.shape[0], -1, self.heads, self.head_width).transpose(1, 2)

    def forward(self, x: Tensor, memory: Tensor, biases: tuple[Tensor, ...]) -> Tensor:
        """Of `x` to `memory`. Each bias broadcasts to [batch, heads, queries, keys]; positions first, then masks."""
        q = self.split(self.q_proj(x) * self.scale)
        scores = q @ self.split(self.k_proj(memory)).transpose(2, 3)
        for bias in biases:
            scores = scores + bias
        y = torch.softmax(scores, -1) @ self.split(self.v_proj(memory))
        y = y.transpose(1, 2).reshape(x.shape[0], -1, self.heads * self.head_width)
        return F.linear(y, self.head_scaled_weight(), self.out_proj.bias)

    def head_scaled_weight(self) -> Tensor:
        """c_attn in the output projection: the same sum, and nothing to do at run time."""
        if self.c_attn is None:
            return self.out_proj.weight
        scale = self.c_attn[:, None].expand(self.heads, self.head_width).reshape(-1)
        return self.out_proj.weight * scale

    @torch.no_grad()
    def fold_head_scale(self) -> None:
        weight = self.head_scaled_weight()
        self.out_proj.weight, self.c_attn = nn.Parameter(weight, requires_grad=False), None


class FeedForward(nn.Module):
    """fc2(ffn_layernorm(gelu(fc1(final_layer_norm(x))))); a base class, since the names of both layers are flat."""

    def __init__(self, sizes: OFASizes) -> None:
        super().__init__()
        self.final_layer_norm = nn.LayerNorm(sizes.width)
        self.fc1, self.fc2 = nn.Linear(sizes.width, sizes.ffn), nn.Linear(sizes.ffn, sizes.width)
        self.ffn_layernorm = nn.LayerNorm(sizes.ffn)

    def feed_forward(self, x: Tensor) -> Tensor:
        return x + self.fc2(self.ffn_layernorm(F.gelu(self.fc1(self.final_layer_norm(x)))))


class EncoderLayer(FeedForward):
    def __init__(self, sizes: OFASizes) -> None:
        super().__init__(sizes)
        self.self_attn_layer_norm, self.attn_ln = nn.LayerNorm(sizes.width), nn.LayerNorm(sizes.width)
        self.self_attn = Attention(sizes)

    def forward(self, x: Tensor, biases: tuple[Tensor, ...]) -> Tensor:
        normed = self.self_attn_layer_norm(x)
        return self.feed_forward(x + self.attn_ln(self.self_attn(normed, normed, biases)))


class DecoderLayer(FeedForward):
    def __init__(self, sizes: OFASizes) -> None:
        super().__init__(sizes)
        d = sizes.width
        self.self_attn_layer_norm, self.self_attn_ln = nn.LayerNorm(d), nn.LayerNorm(d)
        self.self_attn = Attention(sizes)
        self.encoder_attn_layer_norm, self.cross_attn_ln = nn.LayerNorm(d), nn.LayerNorm(d)
        self.encoder_attn = Attention(sizes)

    def forward(self, x: Tensor, self_biases: tuple[Tensor, ...], memory: Tensor,
                cross_biases: tuple[Tensor, ...]) -> Tensor:
        normed = self.self_attn_layer_norm(x)
        x = x + self.self_attn_ln(self.self_attn(normed, normed, self_biases))
        normed = self.encoder_attn_layer_norm(x)
        x = x + self.cross_attn_ln(self.encoder_attn(normed, memory, cross_biases))
        return self.feed_forward(x)
