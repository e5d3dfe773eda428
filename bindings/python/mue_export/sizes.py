"""The sizes of an OFA model, all taken from the shapes of its tensors, and the shapes that they call for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import ExportError

Shape = tuple[int, ...]
CHANNELS = (64, 128, 256)  # bottleneck widths of the three stages; four times as many come out


@dataclass(frozen=True)
class OFASizes:
    vocabulary: int
    width: int
    ffn: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    blocks: tuple[int, int, int]
    positions: int  # rows of embed_positions: two more than the longest sequence
    image_bucket: int  # side of the grid of image positions
    token_bucket: int  # half the rows of the table of token distances

    @property
    def longest(self) -> int:
        """Tokens in the longest sequence."""
        return self.positions - 2

    @property
    def scale(self) -> float:
        """Of queries, in attention and in position biases."""
        return (2 * self.width / self.heads) ** -0.5

    @classmethod
    def of(cls, shapes: Mapping[str, Shape]) -> OFASizes:
        """Raises ExportError that names a tensor which is missing or of the wrong shape."""
        tokens = _shape(shapes, "encoder.embed_tokens.weight", 2)
        table = _shape(shapes, "encoder.token_rel_pos_table_list.0.weight", 2)
        sizes = cls(
            vocabulary=tokens[0], width=tokens[1],
            ffn=_shape(shapes, "encoder.layers.0.fc1.weight", 2)[0],
            heads=table[1], token_bucket=(table[0] + 1) // 2,
            encoder_layers=_count(shapes, "encoder.layers."), decoder_layers=_count(shapes, "decoder.layers."),
            blocks=tuple(_count(shapes, f"encoder.embed_images.layer{n}.") for n in (1, 2, 3)),
            positions=_shape(shapes, "encoder.embed_positions.weight", 2)[0],
            image_bucket=math.isqrt(max(_shape(shapes, "encoder.embed_image_positions.weight", 2)[0] - 1, 0)))
        if sizes.width == 0 or sizes.heads == 0 or sizes.width % sizes.heads:
            raise ExportError(f"tensor encoder.token_rel_pos_table_list.0.weight: {sizes.heads} heads do not divide "
                              f"the width {sizes.width}")
        for name, wanted in sizes.shapes().items():
            if name not in shapes:
                raise ExportError(f"tensor {name} is missing; expected shape {list(wanted)}")
            if tuple(shapes[name]) != wanted:
                raise ExportError(f"tensor {name} has shape {list(shapes[name])}; expected {list(wanted)}")
        if sizes.token_bucket < 4 or sizes.positions <= sizes.token_bucket + 2:
            raise ExportError(f"tensor encoder.token_rel_pos_table_list.0.weight: {table[0]} distances for "
                              f"{sizes.longest} positions")
        return sizes

    def shapes(self) -> dict[str, Shape]:
        """Every tensor that the model is computed from."""
        d, shapes = self.width, {}

        def linear(name: str, outputs: int, inputs: int) -> None:
            shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outputs, inputs), (outputs,)

        def norm(name: str, channels: int) -> None:
            shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (channels,)

        def attention(name: str) -> None:
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                linear(f"{name}.{part}", d, d)
            shapes[f"{name}.c_attn"] = (self.heads,)

        def feed_forward(name: str) -> None:
            linear(f"{name}.fc1", self.ffn, d)
            linear(f"{name}.fc2", d, self.ffn)
            norm(f"{name}.ffn_layernorm", self.ffn)
            norm(f"{name}.final_layer_norm", d)

        tables = 2 * self.token_bucket - 1
        shapes["encoder.embed_tokens.weight"] = (self.vocabulary, d)
        shapes["encoder.type_embedding.weight"] = (2, d)
        shapes["encoder.embed_positions.weight"] = shapes["decoder.embed_positions.weight"] = (self.positions, d)
        shapes["encoder.embed_image_positions.weight"] = (self.image_bucket**2 + 1, d)
        self._stem_shapes(shapes)
        linear("encoder.image_proj", d, CHANNELS[2] * 4)
        for name in ("layernorm_embedding", "patch_layernorm_embedding", "pos_ln", "image_pos_ln", "layer_norm"):
            norm(f"encoder.{name}", d)
        for name in ("encoder.pos", "decoder.self_pos", "decoder.cross_pos"):
            linear(f"{name}_q_linear", d, d)
            linear(f"{name}_k_linear", d, d)
        for name in ("layernorm_embedding", "pos_ln", "layer_norm"):
            norm(f"decoder.{name}", d)
        for i in range(self.encoder_layers):
            layer = f"encoder.layers.{i}"
            attention(f"{layer}.self_attn")
            norm(f"{layer}.self_attn_layer_norm", d)
            norm(f"{layer}.attn_ln", d)
            feed_forward(layer)
            shapes[f"encoder.token_rel_pos_table_list.{i}.weight"] = (tables, self.heads)
            shapes[f"encoder.image_rel_pos_table_list.{i}.weight"] = ((2 * self.image_bucket - 1) ** 2 + 3, self.heads)
        for i in range(self.decoder_layers):
            layer = f"decoder.layers.{i}"
            attention(f"{layer}.self_attn")
            attention(f"{layer}.encoder_attn")
            for name in ("self_attn_layer_norm", "self_attn_ln", "encoder_attn_layer_norm", "cross_attn_ln"):
                norm(f"{layer}.{name}", d)
            feed_forward(layer)
            shapes[f"decoder.token_rel_pos_table_list.{i}.weight"] = (tables, self.heads)
        return shapes

    def _stem_shapes(self, shapes: dict[str, Shape]) -> None:
        def convolution(name: str, norm: str, *shape: int) -> None:
            shapes[f"{name}.weight"] = shape
            for part in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{norm}.{part}"] = (shape[0],)

        stem, inputs = "encoder.embed_images", CHANNELS[0]
        convolution(f"{stem}.conv1", f"{stem}.bn1", CHANNELS[0], 3, 7, 7)
        for stage, (width, count) in enumerate(zip(CHANNELS, self.blocks), start=1):
            for i in range(count):
                block = f"{stem}.layer{stage}.{i}"
                convolution(f"{block}.conv1", f"{block}.bn1", width, inputs, 1, 1)
                convolution(f"{block}.conv2", f"{block}.bn2", width, width, 3, 3)
                convolution(f"{block}.conv3", f"{block}.bn3", width * 4, width, 1, 1)
                if i == 0:
                    convolution(f"{block}.downsample.0", f"{block}.downsample.1", width * 4, inputs, 1, 1)
                inputs = width * 4


def _shape(shapes: Mapping[str, Shape], name: str, rank: int) -> Shape:
    if name not in shapes:
        raise ExportError(f"tensor {name} is missing; expected {rank} dimensions")
    if len(shapes[name]) != rank or 0 in shapes[name]:
        raise ExportError(f"tensor {name} has shape {list(shapes[name])}; expected {rank} dimensions, none of them 0")
    return tuple(shapes[name])


def _count(shapes: Mapping[str, Shape], prefix: str) -> int:
    """Members 0 to n-1 of a list of modules. The largest number counts, so that a gap shows as a missing tensor."""
    pattern = re.compile(re.escape(prefix) + r"(\d{1,3})\.")
    numbers = [int(m.group(1)) for m in map(pattern.match, shapes) if m]
    if not numbers:
        raise ExportError(f"tensor {prefix}0.* is missing")
    return max(numbers) + 1
