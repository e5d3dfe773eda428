"""The unified model: OFA's structure with MuE's decomposed encoder.

The six encoder layers run on the image tokens and, apart, on the text tokens.  All position biases depend on sizes
alone.  Padding (id 1) is masked where text is attended to.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import ModelConfig
from .layers import DecoderLayer, EncoderLayer, Memory
from .stem import Stem

BOS, PAD, EOS, UNK = 0, 1, 2, 3
MASKED = -1e4


def _token_bucket(length: int) -> Tensor:
    position = torch.arange(length)
    return position[:, None] - position[None, :] + length - 1


def _image_bucket(grid: int) -> Tensor:
    row, column = torch.arange(grid * grid) // grid, torch.arange(grid * grid) % grid
    dr, dc = row[:, None] - row[None, :], column[:, None] - column[None, :]
    return (dr + grid - 1) * (2 * grid - 1) + dc + grid - 1


class AbsoluteBias(nn.Module):
    """(q P * (2 d_h)^-0.5)(k P')^T for each head: [1, heads, positions of P, positions of P']."""

    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (2 * d_model / heads) ** -0.5
        self.q_linear, self.k_linear = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        q = (self.q_linear(queries) * self.scale).view(-1, self.heads, queries.shape[-1] // self.heads)
        k = self.k_linear(keys).view(-1, self.heads, keys.shape[-1] // self.heads)
        return (q.transpose(0, 1) @ k.permute(1, 2, 0))[None]


def _tables(layers: int, rows: int, heads: int) -> nn.ModuleList:
    return nn.ModuleList(nn.Embedding(rows, heads) for _ in range(layers))


class Encoder(nn.Module):
    def __init__(self, c: ModelConfig, embed_tokens: nn.Embedding) -> None:
        super().__init__()
        self.embed_tokens = embed_tokens
        self.type_embedding = nn.Embedding(2, c.d_model)
        self.layernorm_embedding = nn.LayerNorm(c.d_model)
        self.embed_images = Stem(c.stem_widths, c.stem_blocks)
        self.image_proj = nn.Linear(self.embed_images.channels, c.d_model)
        self.patch_layernorm_embedding = nn.LayerNorm(c.d_model)
        self.embed_positions = nn.Embedding(c.max_positions, c.d_model)
        self.embed_image_positions = nn.Embedding(c.image_tokens + 1, c.d_model)
        self.pos_ln, self.image_pos_ln = nn.LayerNorm(c.d_model), nn.LayerNorm(c.d_model)
        self.pos_bias = AbsoluteBias(c.d_model, c.heads)
        self.token_rel_pos_table_list = _tables(c.encoder_layers, 2 * c.max_positions - 1, c.heads)
        self.image_rel_pos_table_list = _tables(c.encoder_layers, (2 * c.grid - 1) ** 2, c.heads)
        self.register_buffer("token_rp_bucket", _token_bucket(c.max_positions), persistent=False)
        self.register_buffer("image_rp_bucket", _image_bucket(c.grid), persistent=False)
        self.layers = nn.ModuleList(EncoderLayer(c.d_model, c.heads, c.ffn_dim) for _ in range(c.encoder_layers))
        self.layer_norm = nn.LayerNorm(c.d_model)

    def image_positions(self) -> Tensor:
        return self.image_pos_ln(self.embed_image_positions.weight[1:])

    def text_positions(self, length: int) -> Tensor:
        return self.pos_ln(self.embed_positions.weight[:length])

    def embed_image(self, pixels: Tensor) -> Tensor:
        return self.patch_layernorm_embedding(self.image_proj(self.embed_images(pixels)) + self.type_embedding.weight[1])

    def embed_text(self, ids: Tensor) -> Tensor:
        return self.layernorm_embedding(self.embed_tokens(ids) + self.type_embedding.weight[0])

    def image_biases(self) -> list[Tensor]:
        """One bias [1, heads, N, N] for each layer."""
        positions = self.image_positions()
        absolute = self.pos_bias(positions, positions)
        return [absolute + table.weight[self.image_rp_bucket].permute(2, 0, 1)[None]
                for table in self.image_rel_pos_table_list]

    def text_biases(self, ids: Tensor) -> list[Tensor]:
        """One bias [batch, heads, T, T] for each layer, padding masked."""
        length = ids.shape[1]
        positions = self.text_positions(length)
        absolute = self.pos_bias(positions, positions) + padding_mask(ids)
        bucket = self.token_rp_bucket[:length, :length]
        return [absolute + table.weight[bucket].permute(2, 0, 1)[None] for table in self.token_rel_pos_table_list]

    def run(self, x: Tensor, biases: list[Tensor]) -> list[Tensor]:
        """All states of one stream, x_0 to x_n."""
        states = [x]
        for layer, bias in zip(self.layers, biases):
            states.append(layer(states[-1], bias))
        return states

    def image_states(self, pixels: Tensor) -> list[Tensor]:
        return self.run(self.embed_image(pixels), self.image_biases())

    def text_states(self, ids: Tensor) -> list[Tensor]:
        return self.run(self.embed_text(ids), self.text_biases(ids))


class Decoder(nn.Module):
    def __init__(self, c: ModelConfig, embed_tokens: nn.Embedding) -> None:
        super().__init__()
        self.embed_tokens = embed_tokens
        self.layernorm_embedding = nn.LayerNorm(c.d_model)
        self.embed_positions = nn.Embedding(c.max_positions, c.d_model)
        self.pos_ln = nn.LayerNorm(c.d_model)
        self.self_pos_bias = AbsoluteBias(c.d_model, c.heads)
        self.cross_pos_bias = AbsoluteBias(c.d_model, c.heads)
        self.token_rel_pos_table_list = _tables(c.decoder_layers, 2 * c.max_positions - 1, c.heads)
        self.register_buffer("token_rp_bucket", _token_bucket(c.max_positions), persistent=False)
        causal = torch.full((c.max_positions, c.max_positions), MASKED).triu(1)
        self.register_buffer("causal_mask", causal, persistent=False)
        self.layers = nn.ModuleList(DecoderLayer(c.d_model, c.heads, c.ffn_dim) for _ in range(c.decoder_layers))
        self.layer_norm = nn.LayerNorm(c.d_model)

    def embed(self, ids: Tensor) -> Tensor:
        return self.layernorm_embedding(self.embed_tokens(ids))

    def positions(self, length: int) -> Tensor:
        return self.pos_ln(self.embed_positions.weight[:length])

    def self_biases(self, length: int) -> list[Tensor]:
        """One causal bias [1, heads, T, T] for each layer."""
        positions = self.positions(length)
        absolute = self.self_pos_bias(positions, positions) + self.causal_mask[:length, :length]
        bucket = self.token_rp_bucket[:length, :length]
        return [absolute + table.weight[bucket].permute(2, 0, 1)[None] for table in self.token_rel_pos_table_list]

    def states(self, ids: Tensor, memory: Memory, cross_bias: Tensor) -> list[Tensor]:
        """z_0 to z_n for a whole prefix; `memory` is the encoder's output after its LayerNorm."""
        states = [self.embed(ids)]
        for layer, bias in zip(self.layers, self.self_biases(ids.shape[1])):
            states.append(layer(states[-1], bias, memory, cross_bias))
        return states


def padding_mask(ids: Tensor) -> Tensor:
    """[batch, 1, 1, T]: 0 for a token, a large negative number for padding."""
    return (ids == PAD).to(torch.float32)[:, None, None, :] * MASKED


class UnifiedModel(nn.Module):
    """(pixel_values, input_ids, decoder_input_ids) -> logits."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        embed_tokens = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = Encoder(config, embed_tokens)
        self.decoder = Decoder(config, embed_tokens)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=module.weight.shape[1] ** -0.5)
        for tables in (self.encoder.token_rel_pos_table_list, self.encoder.image_rel_pos_table_list,
                       self.decoder.token_rel_pos_table_list):
            for table in tables:
                nn.init.zeros_(table.weight)

    def cross_bias(self, input_ids: Tensor, length: int) -> Tensor:
        """[batch, heads, T, N + L]: the position bias of every cross-attention, text padding masked."""
        text = self.encoder.text_positions(input_ids.shape[1])
        memory = torch.cat([self.encoder.image_positions(), text], 0)
        absolute = self.decoder.cross_pos_bias(self.decoder.positions(length), memory)
        mask = nn.functional.pad(padding_mask(input_ids), (self.config.image_tokens, 0))
        return absolute + mask

    def head(self, state: Tensor) -> Tensor:
        """Logits at any decoder layer: the shared final LayerNorm and the vocabulary."""
        return nn.functional.linear(self.decoder.layer_norm(state), self.encoder.embed_tokens.weight)

    def forward(self, pixel_values: Tensor, input_ids: Tensor, decoder_input_ids: Tensor) -> Tensor:
        image = self.encoder.image_states(pixel_values)[-1]
        text = self.encoder.text_states(input_ids)[-1]
        memory = self.encoder.layer_norm(torch.cat([image, text], 1))
        bias = self.cross_bias(input_ids, decoder_input_ids.shape[1])
        return self.head(self.decoder.states(decoder_input_ids, memory, bias)[-1])
