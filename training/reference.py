"""MuE's inference written as plainly as possible: one sample, one token, one layer after another.

    model = load_exported(Path("models/demo"))              # training.init_from_onnx: the weights of model.onnx
    generate(model, pixel_values, input_ids, thresholds=(0.98, 0.9, 0.95), schedule="paper", max_tokens=24)

The engine's tests compare tokens, exit layers and similarities with it.  Nothing is cached: keys and values are made
anew from the states that entered each layer.  `python -m training.reference BUNDLE IMAGE PROMPT` prints one answer.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from .exits import Exits
from .model import BOS, EOS, PAD, UnifiedModel

Thresholds = tuple[float, float, float]  # image, text, decoder; 1 or more: never


def cosine(a: Tensor, b: Tensor) -> float:
    a, b = a.flatten().double(), b.flatten().double()
    return float(a @ b / (a.norm() * b.norm()))


def encoder_stream(model: UnifiedModel, x: Tensor, biases: list[Tensor], threshold: float) -> tuple[Tensor, int, list[float]]:
    """Run one stream of one sample: the state it stopped with, the layer, and the similarities on the way."""
    found: list[float] = []
    for number, (layer, bias) in enumerate(zip(model.encoder.layers, biases), start=1):
        previous, x = x, layer(x, bias)
        found.append(cosine(x, previous))
        if threshold < 1 and found[-1] > threshold:
            break
    return x, number, found


def encode(model: UnifiedModel, pixel_values: Tensor, input_ids: Tensor, image: float, text: float) -> dict:
    """Both streams of one sample, and the encoder's output [1, N + T, d] after its LayerNorm."""
    encoder = model.encoder
    image_state, p, image_found = encoder_stream(model, encoder.embed_image(pixel_values), encoder.image_biases(), image)
    text_state, q, text_found = encoder_stream(model, encoder.embed_text(input_ids), encoder.text_biases(input_ids), text)
    memory = encoder.layer_norm(torch.cat([image_state, text_state], 1))
    return {"memory": memory, "image_exit": p, "text_exit": q,
            "similarities": {"image": image_found, "text": text_found}}


def one_sample(pixel_values: Tensor, input_ids: Tensor) -> Tensor:
    """Check the batch of one; the text without its padding."""
    if pixel_values.shape[0] != 1 or input_ids.shape[0] != 1:
        raise ValueError("the reference takes one sample at a time")
    return input_ids[:, : int((input_ids[0] != PAD).sum())]


def decoder_row(layer: torch.nn.Module, entered: list[Tensor], self_bias: Tensor, memory: Tensor, cross_bias: Tensor) -> Tensor:
    """One decoder layer for the newest position, given what entered this layer at every position."""
    x, rows = entered[-1], torch.cat(entered, 1)
    attention, normed = layer.self_attn, layer.self_attn_layer_norm(rows)
    keys, values = attention.split(attention.k_proj(normed)), attention.split(attention.v_proj(normed))
    x = x + layer.self_attn_ln(attention.attend(normed[:, -1:], keys, values, self_bias))
    x = x + layer.cross_attn_ln(layer.encoder_attn.cross(layer.encoder_attn_layer_norm(x), memory, cross_bias))
    return layer.ffn(x)


@torch.no_grad()
def generate(model: UnifiedModel, pixel_values: Tensor, input_ids: Tensor, thresholds: Thresholds = (1.0, 1.0, 1.0),
             schedule: str = "constant", max_tokens: int = 24, beta: float = 0.95, tau: float = 1.0) -> dict:
    """Greedy generation from <s>, one exit decision a token; `tokens` end with </s> unless max_tokens cut them."""
    input_ids = one_sample(pixel_values, input_ids)
    exits = Exits(*thresholds, schedule, beta, tau)
    result = encode(model, pixel_values, input_ids, exits.image, exits.text)
    layers = model.decoder.layers
    self_biases = model.decoder.self_biases(max_tokens)
    cross_bias = model.cross_bias(input_ids, max_tokens)
    entered: list[list[Tensor]] = [[] for _ in layers]
    tokens, depths, profile, logits, token = [], [], [], [], BOS
    for step in range(max_tokens):
        threshold = exits.decoder_threshold(step, max_tokens)
        x, found, depth = model.decoder.embed(torch.tensor([[token]])), [], 0
        for number, layer in enumerate(layers):
            entered[number].append(x)  # for a layer that is skipped: the state z of the exit
            if depth:
                continue
            row = slice(step, step + 1)
            y = decoder_row(layer, entered[number], self_biases[number][:, :, row, : step + 1], result["memory"],
                            cross_bias[:, :, row])
            found.append(cosine(y, x))
            x = y
            if threshold < 1 and found[-1] > threshold:
                depth = number + 1
        logits.append(model.head(x)[0, 0])
        token = int(logits[-1].argmax())
        tokens.append(token)
        depths.append(depth or len(layers))
        profile.append(found)
        if token == EOS:
            break
    result["similarities"]["decoder"] = profile
    return {**result, "tokens": tokens, "decoder_exits": depths, "logits": torch.stack(logits)}


@torch.no_grad()
def forward(model: UnifiedModel, pixel_values: Tensor, input_ids: Tensor, decoder_input_ids: Tensor,
            thresholds: Thresholds = (1.0, 1.0, 1.0)) -> dict:
    """A teacher-forced pass of one sample: the decoder makes one decision over all its positions."""
    input_ids = one_sample(pixel_values, input_ids)
    result = encode(model, pixel_values, input_ids, thresholds[0], thresholds[1])
    length = decoder_input_ids.shape[1]
    x, found = model.decoder.embed(decoder_input_ids), []
    cross_bias = model.cross_bias(input_ids, length)
    for number, (layer, bias) in enumerate(zip(model.decoder.layers, model.decoder.self_biases(length)), start=1):
        previous, x = x, layer(x, bias, result["memory"], cross_bias)
        found.append(cosine(x, previous))
        if thresholds[2] < 1 and found[-1] > thresholds[2]:
            break
    result["similarities"]["decoder"] = found
    return {**result, "decoder_exit": number, "logits": model.head(x)}


def main() -> None:
    from PIL import Image
    from tokenizers import Tokenizer

    from .init_from_onnx import load_exported
    from .pictures import load_picture
    parser = argparse.ArgumentParser(description="One answer of the reference, as JSON.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("prompt")
    parser.add_argument("--exits", type=float, nargs=3, default=(1.0, 1.0, 1.0), metavar=("IMAGE", "TEXT", "DECODER"))
    parser.add_argument("--schedule", choices=("constant", "paper", "released"), default="constant")
    parser.add_argument("--max-tokens", type=int, default=24)
    args = parser.parse_args()
    model = load_exported(args.bundle)
    tokenizer = Tokenizer.from_file(str(args.bundle / "tokenizer.json"))
    pixels = load_picture(Image.open(args.image), model.config.image_size)
    ids = torch.tensor([tokenizer.encode(args.prompt).ids])
    found = generate(model, pixels, ids, tuple(args.exits), args.schedule, args.max_tokens)
    text = tokenizer.decode([t for t in found["tokens"] if t > 3])
    print(json.dumps({"text": text, **{k: v for k, v in found.items() if k not in ("memory", "logits")}}, indent=1))


if __name__ == "__main__":
    main()
