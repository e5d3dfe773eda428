"""Random OFA checkpoints in the published format: `python Tests/python/random_ofa.py base OUT.pt [--dtype fp32]`.

Sizes of the published models; weights drawn so that states stay of order one, norms, tables and head scales away from
their neutral start. Beside the tensors that the model needs there are those that published files also hold, and pickled
settings, as fairseq writes them. Needs bindings/python on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from argparse import Namespace
from pathlib import Path

import torch
from torch import Tensor

from mue_export.sizes import OFASizes

#             width, ffn, heads, encoder layers, decoder layers, ResNet blocks
PUBLISHED = {
    "tiny": (256, 1024, 4, 4, 4, (3, 4, 6)),
    "medium": (512, 2048, 8, 4, 4, (3, 4, 23)),
    "base": (768, 3072, 12, 6, 6, (3, 4, 23)),
    "large": (1024, 4096, 16, 12, 12, (3, 8, 36)),
    "huge": (1280, 5120, 16, 24, 12, (3, 8, 36)),
}
VOCABULARY = 59457


def published_sizes(name: str) -> OFASizes:
    width, ffn, heads, encoder_layers, decoder_layers, blocks = PUBLISHED[name]
    return OFASizes(VOCABULARY, width, ffn, heads, encoder_layers, decoder_layers, blocks, positions=1026,
                    image_bucket=42, token_bucket=256)


def small_sizes(**changes: object) -> OFASizes:
    """Not published: as small as the format goes, for tests."""
    sizes = OFASizes(VOCABULARY, 16, 32, 2, 2, 2, (1, 1, 1), positions=1026, image_bucket=42, token_bucket=256)
    return dataclasses.replace(sizes, **changes)


def random_tensor(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    kind = name.rsplit(".", 1)[-1]
    if kind == "running_var":
        return torch.rand(shape, generator=generator) + 0.5
    values = torch.randn(shape, generator=generator)
    if "rel_pos_table" in name:
        return values.mul_(0.3)
    if "embed_tokens" in name or "embed_positions" in name or "embed_image_positions" in name or "type_emb" in name:
        return values.mul_(shape[1] ** -0.5)
    if len(shape) == 4:
        return values.mul_((2 / (shape[1] * shape[2] * shape[3])) ** 0.5)
    if len(shape) == 2:
        return values.mul_(shape[1] ** -0.5)
    if kind == "c_attn" or kind == "weight":
        # The last norm of a bottleneck is small, or the sums of many blocks would grow.
        return values.mul_(0.1).add_(0.3 if ".bn3." in name else 1.0)
    return values.mul_(0.05)


def token_table() -> Tensor:
    """[1024, 1024] rows of the table of token distances, element by element as the authors' buffer has them."""
    position = torch.arange(1024)
    distance = position[:, None] - position[None, :]
    size = torch.where((distance < 128) & (distance > -128), torch.tensor(127), distance.abs())
    far = torch.ceil(torch.log(size / 128) / math.log(1023 / 128) * 127) + 128
    return torch.where(size <= 128, distance, (far.int() * distance.sign())).long() + 255


def image_table() -> Tensor:
    """[42 * 42 + 1, 42 * 42 + 1]: rows of the table of image distances; the first row and column are a class token's."""
    grid = torch.stack(torch.meshgrid(torch.arange(42), torch.arange(42), indexing="ij")).flatten(1)
    distance = grid[:, :, None] - grid[:, None, :] + 41
    table = torch.full((42 * 42 + 1, 42 * 42 + 1), 83 * 83, dtype=torch.long)
    table[1:, 1:] = distance[0] * 83 + distance[1]
    return table


def random_state(sizes: OFASizes, seed: int = 0, dtype: torch.dtype = torch.float16) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    state = {name: random_tensor(name, shape, generator).to(dtype) for name, shape in sizes.shapes().items()}
    for name in [n for n in state if n.endswith(".running_var")]:
        state[name.replace("running_var", "num_batches_tracked")] = torch.tensor(7)
    state["encoder.version"] = state["decoder.version"] = torch.tensor([3.0], dtype=dtype)
    for part in ("encoder", "decoder"):
        state[f"{part}.token_rp_bucket"], state[f"{part}.image_rp_bucket"] = token_table(), image_table()
    tokens = state["encoder.embed_tokens.weight"]
    state["decoder.embed_tokens.weight"] = state["decoder.output_projection.weight"] = tokens
    d, heads = sizes.width, sizes.heads
    state["decoder.image_position_idx"] = torch.arange(sizes.positions)
    state["decoder.embed_image_positions.weight"] = torch.zeros(sizes.image_bucket**2 + 1, d, dtype=dtype)
    for norm in ("image_pos_ln", "code_layernorm_embedding"):
        state[f"decoder.{norm}.weight"] = torch.ones(d, dtype=dtype)
        state[f"decoder.{norm}.bias"] = torch.zeros(d, dtype=dtype)
    for i in range(sizes.decoder_layers):
        rows = (2 * sizes.image_bucket - 1) ** 2 + 3
        state[f"decoder.image_rel_pos_table_list.{i}.weight"] = torch.zeros(rows, heads, dtype=dtype)
    return state


def save_checkpoint(path: Path, state: dict[str, Tensor], **options: object) -> None:
    """With the settings and the leftovers of training that fairseq saves; `options` go to torch.save."""
    settings = {"_name": None, "model": Namespace(arch="ofa", disable_entangle=True, patch_image_size=480),
                "task": Namespace(_name="caption")}
    content = {"args": None, "cfg": settings, "model": state, "criterion": None,
               "optimizer_history": [{"num_updates": 7, "optimizer_name": "FairseqAdam"}],
               "extra_state": {"epoch": 1, "metrics": [Namespace(value=1.0)]}}
    torch.save(content, path, **options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", choices=PUBLISHED)
    parser.add_argument("out", type=Path)
    parser.add_argument("--dtype", choices=("fp16", "fp32"), default="fp16")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    dtype = torch.float16 if args.dtype == "fp16" else torch.float32
    sizes = published_sizes(args.size)
    state = random_state(sizes, args.seed, dtype)
    save_checkpoint(args.out, state)
    count = sum(t.numel() for name, t in state.items() if name in sizes.shapes())
    print(f"{args.out}: {count / 1e6:.0f} M parameters, {args.out.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
