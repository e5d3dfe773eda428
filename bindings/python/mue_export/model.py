"""OFA, written for export: (pixel_values, input_ids, decoder_input_ids) -> logits.

Position biases follow from sizes alone, so that an engine computes them once per size; only the padding mask depends on
data.  The encoder is OFA's joint one, or MuE's, which runs the same layers on image and text apart.  Tensor names are
those of the published checkpoints.  Sources: OFA, ICML 2022, and MuE, CVPR 2023, with their code.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import DecoderLayer, EncoderLayer
from .sizes import OFASizes
from .stem import Stem

BOS, PAD, EOS, UNK = 0, 1, 2, 3
MASKED = -1e9
PATCH = 16  # pixels to a side of an image token


def token_buckets(sizes: OFASizes) -> Tensor:
    """Table row for each distance from 1 - longest to longest - 1: one each when near, on a logarithmic scale when far.

    In float32 as OFA's make_token_bucket_position, whose rounding decides where buckets end.
    """
    half, far = sizes.token_bucket // 2, sizes.longest - 1
    distance = torch.arange(-far, far + 1)
    size = distance.abs().clamp(min=1)
    logarithm = torch.ceil(torch.log(size / half) / math.log(far / half) * (half - 1)).long() + half
    logarithm = logarithm.clamp(max=sizes.token_bucket - 1) * distance.sign()
    return torch.where(size <= half, distance, logarithm) + sizes.token_bucket - 1


def padding_mask(ids: Tensor) -> Tensor:
    """[batch, 1, 1, tokens]: 0 for a token, MASKED for padding."""
    return (ids == PAD).to(torch.float32)[:, None, None, :] * MASKED


def table(rows: int, columns: int) -> nn.Embedding:
    # Not drawn at random: that takes seconds, and values are assigned later.
    return nn.Embedding.from_pretrained(torch.zeros(rows, columns))


def gathered(rows: Tensor, index: Tensor) -> Tensor:
    """[heads, ...] of a table [rows, heads]: heads first at once, since a bias is too large to be moved about."""
    return rows.t()[:, index]


class PositionBiases(nn.Module):
    """What encoder and decoder have in common: token positions, their distances, and products of positions."""

    def __init__(self, sizes: OFASizes, layers: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.embed_positions = table(sizes.positions, sizes.width)
        self.pos_ln = nn.LayerNorm(sizes.width)
        rows = 2 * sizes.token_bucket - 1
        self.token_rel_pos_table_list = nn.ModuleList(table(rows, sizes.heads) for _ in range(layers))
        # Real values even where the weights are made on the meta device, to be assigned later.
        with torch.device("cpu"):
            self.register_buffer("position_index", torch.arange(sizes.longest))
            self.register_buffer("token_bucket", token_buckets(sizes))

    def token_positions(self, length: int) -> Tensor:
        """[length, d]"""
        return self.pos_ln(self.embed_positions.weight[:length])

    def product(self, q_linear: nn.Linear, k_linear: nn.Linear, queries: Tensor, keys: Tensor) -> Tensor:
        """(q P scale)(k P')^T for each head: [1, heads, rows of P, rows of P']."""
        heads, width = self.sizes.heads, self.sizes.width // self.sizes.heads
        q = (q_linear(queries) * self.sizes.scale).view(-1, heads, width)
        k = k_linear(keys).view(-1, heads, width)
        return (q.transpose(0, 1) @ k.permute(1, 2, 0))[None]

    def distance_buckets(self, length: int) -> Tensor:
        """[length, length]: rows of the tables of token distances."""
        index = self.position_index[:length]
        return self.token_bucket[index[:, None] - index[None, :] + (self.sizes.longest - 1)]

    def distance_biases(self, length: int) -> list[Tensor]:
        """[1, heads, length, length] for each layer."""
        buckets = self.distance_buckets(length)
        return [gathered(t.weight, buckets)[None] for t in self.token_rel_pos_table_list]


class Encoder(PositionBiases):
    def __init__(self, sizes: OFASizes, image_size: int) -> None:
        super().__init__(sizes, sizes.encoder_layers)
        d = sizes.width
        self.embed_tokens = table(sizes.vocabulary, d)
        self.type_embedding = table(2, d)
        self.layernorm_embedding, self.patch_layernorm_embedding = nn.LayerNorm(d), nn.LayerNorm(d)
        self.embed_images = Stem(sizes.blocks)
        self.image_proj = nn.Linear(1024, d)
        self.embed_image_positions = table(sizes.image_bucket**2 + 1, d)
        self.image_pos_ln = nn.LayerNorm(d)
        self.pos_q_linear, self.pos_k_linear = nn.Linear(d, d), nn.Linear(d, d)
        rows = (2 * sizes.image_bucket - 1) ** 2 + 3
        self.image_rel_pos_table_list = nn.ModuleList(table(rows, sizes.heads) for _ in range(sizes.encoder_layers))
        self.layers = nn.ModuleList(EncoderLayer(sizes) for _ in range(sizes.encoder_layers))
        self.layer_norm = nn.LayerNorm(d)
        side, bucket = image_size // PATCH, sizes.image_bucket
        self.image_tokens = side * side
        with torch.device("cpu"):
            row, column = torch.arange(side * side) // side, torch.arange(side * side) % side
            self.register_buffer("image_position", row * bucket + column + 1)
            # A distance in rows and one in columns are one index: (dr + bucket - 1) (2 bucket - 1) + dc + bucket - 1.
            self.register_buffer("image_coordinate", row * (2 * bucket - 1) + column)

    def image_positions(self) -> Tensor:
        """[image tokens, d]"""
        return self.image_pos_ln(self.embed_image_positions.weight[self.image_position])

    def image_distances(self) -> Tensor:
        """[image tokens, image tokens]: rows of the tables of image distances."""
        bucket, coordinate = self.sizes.image_bucket, self.image_coordinate
        return coordinate[:, None] - coordinate[None, :] + (bucket - 1) * 2 * bucket

    def image_distance_biases(self) -> list[Tensor]:
        """[1, heads, image tokens, image tokens] for each layer."""
        index = self.image_distances()
        return [gathered(t.weight, index)[None] for t in self.image_rel_pos_table_list]

    def joint_distance_biases(self, length: int) -> list[Tensor]:
        """[1, heads, image and text tokens, image and text tokens] for each layer: nothing across modalities."""
        image, text = self.image_distances(), self.distance_buckets(length)
        first, none = self.image_rel_pos_table_list[0].num_embeddings, self.token_rel_pos_table_list[0].num_embeddings
        none += first  # a row of zeros behind both tables
        right = torch.full((self.image_tokens, length), none)
        index = torch.cat([torch.cat([image, right], 1), torch.cat([right.t(), text + first], 1)], 0)
        zeros = torch.zeros(1, self.sizes.heads)
        return [gathered(torch.cat([i.weight, t.weight, zeros], 0), index)[None]
                for i, t in zip(self.image_rel_pos_table_list, self.token_rel_pos_table_list)]

    def absolute_bias(self, positions: Tensor) -> Tensor:
        return self.product(self.pos_q_linear, self.pos_k_linear, positions, positions)

    def embed_image(self, pixels: Tensor) -> Tensor:
        x = self.image_proj(self.embed_images(pixels)) + self.type_embedding.weight[1]
        return self.patch_layernorm_embedding(x)

    def embed_text(self, ids: Tensor) -> Tensor:
        return self.layernorm_embedding(F.embedding(ids, self.embed_tokens.weight) + self.type_embedding.weight[0])


class Decoder(PositionBiases):
    def __init__(self, sizes: OFASizes) -> None:
        super().__init__(sizes, sizes.decoder_layers)
        d = sizes.width
        self.layernorm_embedding = nn.LayerNorm(d)
        self.self_pos_q_linear, self.self_pos_k_linear = nn.Linear(d, d), nn.Linear(d, d)
        self.cross_pos_q_linear, self.cross_pos_k_linear = nn.Linear(d, d), nn.Linear(d, d)
        self.layers = nn.ModuleList(DecoderLayer(sizes) for _ in range(sizes.decoder_layers))
        self.layer_norm = nn.LayerNorm(d)

    def self_biases(self, positions: Tensor, length: int) -> list[Tensor]:
        """[1, heads, length, length] for each layer, later positions masked."""
        index = self.position_index[:length]
        causal = (index[None, :] > index[:, None]).to(torch.float32) * MASKED
        shared = self.product(self.self_pos_q_linear, self.self_pos_k_linear, positions, positions) + causal
        return [shared + distance for distance in self.distance_biases(length)]

    def cross_bias(self, positions: Tensor, memory_positions: Tensor) -> Tensor:
        """[1, heads, length, image and text tokens], the same for all layers."""
        return self.product(self.cross_pos_q_linear, self.cross_pos_k_linear, positions, memory_positions)


class OFAModel(nn.Module):
    """`decomposed` runs image and text apart; `image_distances` is False where MuE's released code drops them."""

    def __init__(self, sizes: OFASizes, image_size: int, decomposed: bool = False,
                 image_distances: bool = True) -> None:
        super().__init__()
        self.sizes, self.image_size = sizes, image_size
        self.decomposed, self.image_distances = decomposed, image_distances
        self.encoder, self.decoder = Encoder(sizes, image_size), Decoder(sizes)

    def forward(self, pixel_values: Tensor, input_ids: Tensor, decoder_input_ids: Tensor) -> Tensor:
        """Logits [batch, decoder tokens, vocabulary]."""
        encode = self.encode_apart if self.decomposed else self.encode_jointly
        memory = self.encoder.layer_norm(encode(pixel_values, input_ids))
        return self.decode(decoder_input_ids, memory, input_ids)

    def encode_apart(self, pixel_values: Tensor, input_ids: Tensor) -> Tensor:
        """MuE: the same layers on image and on text; [image ; text] before the final LayerNorm."""
        encoder, length = self.encoder, input_ids.shape[1]
        image, text = encoder.embed_image(pixel_values), encoder.embed_text(input_ids)
        absolute = encoder.absolute_bias(encoder.image_positions())
        biases = [absolute + d for d in encoder.image_distance_biases()] if self.image_distances \
            else [absolute] * len(encoder.layers)
        for layer, bias in zip(encoder.layers, biases):
            image = layer(image, (bias,))
        absolute, mask = encoder.absolute_bias(encoder.token_positions(length)), padding_mask(input_ids)
        for layer, distances in zip(encoder.layers, encoder.distance_biases(length)):
            text = layer(text, (absolute + distances, mask))
        return torch.cat([image, text], 1)

    def encode_jointly(self, pixel_values: Tensor, input_ids: Tensor) -> Tensor:
        """OFA: one sequence [image ; text]; distances count within a modality, nothing across."""
        encoder, length = self.encoder, input_ids.shape[1]
        x = torch.cat([encoder.embed_image(pixel_values), encoder.embed_text(input_ids)], 1)
        positions = torch.cat([encoder.image_positions(), encoder.token_positions(length)], 0)
        absolute, mask = encoder.absolute_bias(positions), self.memory_mask(input_ids)
        for layer, distances in zip(encoder.layers, encoder.joint_distance_biases(length)):
            x = layer(x, (absolute + distances, mask))
        return x

    def memory_mask(self, input_ids: Tensor) -> Tensor:
        """[batch, 1, 1, image and text tokens]: text padding is masked."""
        return F.pad(padding_mask(input_ids), (self.encoder.image_tokens, 0))

    def decode(self, ids: Tensor, memory: Tensor, input_ids: Tensor) -> Tensor:
        decoder, embedding = self.decoder, self.encoder.embed_tokens.weight
        positions = decoder.token_positions(ids.shape[1])
        memory_positions = torch.cat([self.encoder.image_positions(),
                                      self.encoder.token_positions(input_ids.shape[1])], 0)
        cross = (decoder.cross_bias(positions, memory_positions), self.memory_mask(input_ids))
        x = decoder.layernorm_embedding(F.embedding(ids, embedding))
        for layer, bias in zip(decoder.layers, decoder.self_biases(positions, ids.shape[1])):
            x = layer(x, (bias,), memory, cross)
        return F.linear(decoder.layer_norm(x), embedding)

    def fold(self) -> None:
        """Put into weights what is constant at run time: BatchNorms and head scales."""
        self.encoder.embed_images.fold_batch_norms()
        for layer in [*self.encoder.layers, *self.decoder.layers]:
            layer.self_attn.fold_head_scale()
        for layer in self.decoder.layers:
            layer.encoder_attn.fold_head_scale()
