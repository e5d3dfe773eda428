"""Batched greedy generation and scoring with early exits, for evaluation and calibration.

A row that has exited keeps its state through the deeper layers, whose keys and values are then made from that state:
hidden-state propagation without any bookkeeping (and without saving any time; `reference.py` is the plain form).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .exits import NEVER, Exits, exit_layers, similarities, similarity, state_at
from .model import BOS, EOS, PAD, UnifiedModel


@dataclass
class Encoded:
    """An encoded batch: memory [batch, N + T, d] after the encoder's LayerNorm and where the streams stopped."""

    memory: Tensor
    input_ids: Tensor
    image_layers: Tensor
    text_layers: Tensor


@torch.no_grad()
def encode(model: UnifiedModel, pixels: Tensor, input_ids: Tensor, exits: Exits) -> Encoded:
    image_states, text_states = model.encoder.image_states(pixels), model.encoder.text_states(input_ids)
    image_layers = exit_layers(similarities(image_states), exits.image)
    text_layers = exit_layers(similarities(text_states, (input_ids != PAD).float()), exits.text)
    both = torch.cat([state_at(image_states, image_layers), state_at(text_states, text_layers)], 1)
    return Encoded(model.encoder.layer_norm(both), input_ids, image_layers, text_layers)


@torch.no_grad()
def generate(model: UnifiedModel, encoded: Encoded, exits: Exits, max_tokens: int) -> tuple[list[list[int]], list[list[int]]]:
    """Greedy tokens (up to and with </s>) and the decoder's exit layer of each, for every sample."""
    decoder, batch = model.decoder, encoded.memory.shape[0]
    self_biases = decoder.self_biases(max_tokens)
    cross_bias = model.cross_bias(encoded.input_ids, max_tokens)
    cross = [(a.split(a.k_proj(encoded.memory)), a.split(a.v_proj(encoded.memory)))
             for a in (layer.encoder_attn for layer in decoder.layers)]
    inputs: list[list[Tensor]] = [[] for _ in decoder.layers]  # what entered each layer, position by position
    token = torch.full((batch, 1), BOS)
    tokens: list[list[int]] = [[] for _ in range(batch)]
    depths: list[list[int]] = [[] for _ in range(batch)]
    finished = torch.zeros(batch, dtype=torch.bool)
    for step in range(max_tokens):
        threshold = exits.decoder_threshold(step, max_tokens)
        x = decoder.embed(token)
        depth = torch.zeros(batch, dtype=torch.long)
        for number, layer in enumerate(decoder.layers):
            inputs[number].append(x)
            normed = layer.self_attn_layer_norm(torch.cat(inputs[number], 1))
            attention = layer.self_attn
            keys, values = attention.split(attention.k_proj(normed)), attention.split(attention.v_proj(normed))
            bias = self_biases[number][:, :, step : step + 1, : step + 1]
            y = x + layer.self_attn_ln(attention.attend(normed[:, -1:], keys, values, bias))
            attended = layer.encoder_attn.attend(layer.encoder_attn_layer_norm(y), *cross[number],
                                                 cross_bias[:, :, step : step + 1])
            y = layer.ffn(y + layer.cross_attn_ln(attended))
            above = similarity(y, x) > threshold if threshold < NEVER else torch.zeros(batch, dtype=torch.bool)
            active = depth == 0
            x = torch.where(active[:, None, None], y, x)
            depth = torch.where(active & above, number + 1, depth)
        depth = torch.where(depth == 0, len(decoder.layers), depth)
        token = model.head(x).argmax(-1)
        for row in range(batch):
            if not finished[row]:
                tokens[row].append(int(token[row, 0]))
                depths[row].append(int(depth[row]))
        finished |= token[:, 0] == EOS
        if bool(finished.all()):
            break
    return tokens, depths


@torch.no_grad()
def score_prefixed(model: UnifiedModel, encoded: Encoded, prefix: Tensor, exits: Exits) -> tuple[Tensor, Tensor]:
    """Logits [batch, vocab] after each prefix (padded with <pad>), one exit decision a sample; and the exit layers."""
    bias = model.cross_bias(encoded.input_ids, prefix.shape[1])
    states = model.decoder.states(prefix, encoded.memory, bias)
    mask = (prefix != PAD).float()
    depths = exit_layers(similarities(states, mask), exits.decoder)
    last = mask.sum(1).long() - 1
    chosen = state_at(states, depths)[torch.arange(len(last)), last]
    return model.head(chosen), depths
