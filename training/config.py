"""The sizes of a model; everything else about it follows from these."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class ModelConfig:
    """OFA's layer structure at any size.  `demo` is the model in models/demo, `tiny` serves import tests."""

    vocab_size: int
    d_model: int = 192
    heads: int = 3
    ffn_dim: int = 768
    encoder_layers: int = 6
    decoder_layers: int = 6
    image_size: int = 112
    stem_widths: tuple[int, int, int] = (32, 64, 96)
    stem_blocks: tuple[int, int, int] = (2, 2, 2)
    max_positions: int = 64

    @property
    def grid(self) -> int:
        return self.image_size // 16

    @property
    def image_tokens(self) -> int:
        return self.grid * self.grid

    @property
    def head_dim(self) -> int:
        return self.d_model // self.heads

    @classmethod
    def demo(cls, vocab_size: int) -> ModelConfig:
        return cls(vocab_size)

    @classmethod
    def tiny(cls, vocab_size: int) -> ModelConfig:
        return cls(vocab_size, d_model=32, heads=2, ffn_dim=64, encoder_layers=2, decoder_layers=2, image_size=48,
                   stem_widths=(8, 8, 8), stem_blocks=(1, 1, 1), max_positions=32)

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict) -> ModelConfig:
        tuples = {k: tuple(v) for k, v in fields.items() if isinstance(v, list)}
        return cls(**{**fields, **tuples})
