"""OFA cut into the graphs that other runtimes need to generate: encoder, first step, step with a cache.

Every size but that of the cache is fixed, so that a runtime can compute while loading what depends on sizes only, as MuE
does once for each size.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mue_export.layers import Attention
from mue_export.model import OFAModel

TEXT = 8  # tokens of OFA's captioning prompt
BEAMS = 5
PIECES = ("encoder", "first", "cached", f"cached-{BEAMS}")


def attend(attention: Attention, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """`Attention.forward` with keys and values [batch, heads, tokens, d_h] that are there already."""
    scores = attention.split(attention.q_proj(x) * attention.scale) @ keys.transpose(2, 3) + bias
    y = (torch.softmax(scores, -1) @ values).transpose(1, 2).reshape(x.shape[0], -1, x.shape[2])
    return attention.out_proj(y)


def keys_and_values(attention: Attention, memory: Tensor) -> tuple[Tensor, Tensor]:
    return attention.split(attention.k_proj(memory)), attention.split(attention.v_proj(memory))


class EncoderPiece(nn.Module):
    """(pixel_values, input_ids) -> memory [1, image and text tokens, d]"""

    def __init__(self, model: OFAModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor, input_ids: Tensor) -> Tensor:
        encode = self.model.encode_apart if self.model.decomposed else self.model.encode_jointly
        return self.model.encoder.layer_norm(encode(pixel_values, input_ids))


class StepPiece(nn.Module):
    """One token for each beam; keys and values of layers in order, self-attention's two and then cross-attention's two."""

    def __init__(self, model: OFAModel) -> None:
        super().__init__()
        self.model = model

    def first(self, memory: Tensor, token: Tensor) -> tuple[Tensor, ...]:
        cross = [keys_and_values(layer.encoder_attn, memory) for layer in self.model.decoder.layers]
        return self.step(token, [None] * len(cross), cross)

    def cached(self, token: Tensor, *cache: Tensor) -> tuple[Tensor, ...]:
        layers = [cache[i:i + 4] for i in range(0, len(cache), 4)]
        return self.step(token, [layer[:2] for layer in layers], [layer[2:] for layer in layers])

    def step(self, token: Tensor, past: list, cross: list) -> tuple[Tensor, ...]:
        """Logits [beams, 1, vocabulary], then the cache."""
        model, decoder = self.model, self.model.decoder
        length = 1 if past[0] is None else past[0][0].shape[2] + 1
        positions = decoder.token_positions(length)
        memory_positions = torch.cat([model.encoder.image_positions(), model.encoder.token_positions(TEXT)], 0)
        last = positions[-1:]
        shared = decoder.product(decoder.self_pos_q_linear, decoder.self_pos_k_linear, last, positions)
        cross_bias = decoder.product(decoder.cross_pos_q_linear, decoder.cross_pos_k_linear, last, memory_positions)
        index = decoder.position_index[:length]
        bucket = decoder.token_bucket[index[-1:, None] - index[None, :] + (model.sizes.longest - 1)]
        x, cache = decoder.layernorm_embedding(F.embedding(token, model.encoder.embed_tokens.weight)), []
        for layer, rows, mine, theirs in zip(decoder.layers, decoder.token_rel_pos_table_list, past, cross):
            normed = layer.self_attn_layer_norm(x)
            keys, values = keys_and_values(layer.self_attn, normed)
            if mine is not None:
                keys, values = torch.cat([mine[0], keys], 2), torch.cat([mine[1], values], 2)
            bias = shared + rows.weight[bucket].permute(2, 0, 1)[None]
            x = x + layer.self_attn_ln(attend(layer.self_attn, normed, keys, values, bias))
            normed = layer.encoder_attn_layer_norm(x)
            x = x + layer.cross_attn_ln(attend(layer.encoder_attn, normed, *theirs, cross_bias))
            x = layer.feed_forward(x)
            cache += [keys, values, *(theirs if mine is None else ())]
        return F.linear(decoder.layer_norm(x), model.encoder.embed_tokens.weight), *cache


class FirstStep(StepPiece):
    forward = StepPiece.first


class CachedStep(StepPiece):
    forward = StepPiece.cached


def cache_names(layers: int) -> list[str]:
    return [f"{part}.{layer}.{what}" for layer in range(layers) for part in ("self", "cross") for what in ("key", "value")]


@torch.no_grad()
def write_pieces(model: OFAModel, folder: Path) -> None:
    """`folder`/NAME/model.onnx for each of PIECES."""
    sizes, size = model.sizes, model.image_size
    names = cache_names(sizes.decoder_layers)
    pixels, ids = torch.randn(1, 3, size, size), torch.arange(4, 4 + TEXT)[None]
    tokens = (size // 16) ** 2 + TEXT
    write(EncoderPiece(model), (pixels, ids), ["pixel_values", "input_ids"], ["memory"], folder / "encoder")
    write(FirstStep(model), (torch.randn(1, tokens, sizes.width), torch.zeros(1, 1, dtype=torch.long)),
          ["memory", "token"], ["logits", *names], folder / "first")
    for beams, name in ((1, "cached"), (BEAMS, f"cached-{BEAMS}")):
        # The beams of a sample share what they look at: cross-attention's keys and values are there once.
        def random(batch: int, length: int) -> Tensor:
            return torch.randn(batch, sizes.heads, length, sizes.width // sizes.heads)
        cache = [random(beams, 3) if n.startswith("self") else random(1, tokens) for n in names]
        grown = [n for n in names if n.startswith("self")]
        write(CachedStep(model), (torch.zeros(beams, 1, dtype=torch.long), *cache), ["token", *names],
              ["logits", *(f"new.{n}" for n in grown)], folder / name,
              {**{n: {2: "past"} for n in grown}, **{f"new.{n}": {2: "length"} for n in grown}})


def write(piece: nn.Module, inputs: tuple[Tensor, ...], names: list[str], outputs: list[str], folder: Path,
          axes: dict[str, dict[int, str]] | None = None) -> None:
    import onnx
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(piece, inputs, path, dynamo=False, opset_version=17, input_names=names, output_names=outputs,
                          dynamic_axes=axes or {}, do_constant_folding=True)
    graph = onnx.load(path)
    for leftover in folder.iterdir():  # of large pieces, a file for each tensor
        leftover.unlink()
    onnx.save(graph, path, save_as_external_data=True, location="model.onnx_data")
