"""Attention and the NormFormer layers of OFA (tensor names as in its published checkpoints)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Memory = Tensor | tuple[Tensor, Tensor]  # the encoder's output: [image ; text], or the two apart


def expand_rows(x: Tensor, rows: int) -> Tensor:
    """Repeat each sample so that the batch has `rows` rows; free when it already has."""
    return x if x.shape[0] == rows else x.repeat_interleave(rows // x.shape[0], 0)


class Attention(nn.Module):
    """Multi-head attention with an additive bias, q scaled by (2 d_h)^-0.5 and a learned scale for each head."""

    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, d_model // heads
        self.scale = (2 * self.head_dim) ** -0.5
        self.q_proj, self.k_proj = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.v_proj, self.out_proj = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.c_attn = nn.Parameter(torch.ones(heads))

    def split(self, x: Tensor) -> Tensor:
        """[batch, tokens, d] -> [batch, heads, tokens, d_h]"""
        return x.view(x.shape[0], -1, self.heads, self.head_dim).transpose(1, 2)

    def attend(self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
        """`keys` and `values` are split into heads already; `bias` broadcasts to [batch, heads, queries, keys]."""
        q = self.split(self.q_proj(x) * self.scale)
        weights = torch.softmax(q @ keys.transpose(2, 3) + bias, -1)
        y = (weights @ values).transpose(1, 2).reshape(x.shape[0], -1, self.heads * self.head_dim)
        if self.c_attn is None:  # folded for export
            return self.out_proj(y)
        # the head scale folded into the output projection: the same product, one operation less
        weight = self.out_proj.weight * self.c_attn.repeat_interleave(self.head_dim)
        return F.linear(y, weight, self.out_proj.bias)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Self-attention."""
        return self.attend(x, self.split(self.k_proj(x)), self.split(self.v_proj(x)), bias)

    def cross(self, x: Tensor, memory: Memory, bias: Tensor) -> Tensor:
        """Attention to [image ; text].  Given apart, either may have fewer rows: one picture, several texts."""
        if isinstance(memory, Tensor):
            keys, values = self.k_proj(memory), self.v_proj(memory)
        else:
            keys, values = (torch.cat([expand_rows(project(part), x.shape[0]) for part in memory], 1)
                            for project in (self.k_proj, self.v_proj))
        return self.attend(x, self.split(keys), self.split(values), bias)

    @torch.no_grad()
    def fold_head_scale(self) -> None:
        """Multiply c_attn into the output projection for good."""
        if self.c_attn is not None:
            self.out_proj.weight.mul_(self.c_attn.repeat_interleave(self.head_dim))
            self.c_attn = None


class FeedForward(nn.Module):
    """fc2(ffn_layernorm(gelu(fc1(final_layer_norm(x))))), a mixin of both layers so that names stay flat."""

    def make_ffn(self, d_model: int, ffn_dim: int) -> None:
        self.final_layer_norm = nn.LayerNorm(d_model)
        self.fc1, self.fc2 = nn.Linear(d_model, ffn_dim), nn.Linear(ffn_dim, d_model)
        self.ffn_layernorm = nn.LayerNorm(ffn_dim)

    def ffn(self, x: Tensor) -> Tensor:
        return x + self.fc2(self.ffn_layernorm(F.gelu(self.fc1(self.final_layer_norm(x)))))


class EncoderLayer(FeedForward):
    def __init__(self, d_model: int, heads: int, ffn_dim: int) -> None:
        super().__init__()
        self.self_attn_layer_norm, self.attn_ln = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.self_attn = Attention(d_model, heads)
        self.make_ffn(d_model, ffn_dim)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        return self.ffn(x + self.attn_ln(self.self_attn(self.self_attn_layer_norm(x), bias)))


class DecoderLayer(FeedForward):
    def __init__(self, d_model: int, heads: int, ffn_dim: int) -> None:
        super().__init__()
        self.self_attn_layer_norm, self.self_attn_ln = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.self_attn = Attention(d_model, heads)
        self.encoder_attn_layer_norm, self.cross_attn_ln = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.encoder_attn = Attention(d_model, heads)
        self.make_ffn(d_model, ffn_dim)

    def forward(self, x: Tensor, self_bias: Tensor, memory: Memory, cross_bias: Tensor) -> Tensor:
        x = x + self.self_attn_ln(self.self_attn(self.self_attn_layer_norm(x), self_bias))
        normed = self.encoder_attn_layer_norm(x)
        x = x + self.cross_attn_ln(self.encoder_attn.cross(normed, memory, cross_bias))
        return self.ffn(x)
