"""The files beside model.onnx: what Hugging Face's tools would write, and our mue.json."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from .config import ModelConfig
from .language import CAPTION_PROMPT, ENTAILMENT_PROMPT, LABELS
from .model import BOS, EOS, PAD
from .tokenizer import TOKENIZER_PATH

CAPTION_TOKENS, ANSWER_TOKENS = 24, 4


def tasks() -> dict:
    """How each task is asked.  Entailment follows OFA: the decoder reads the prompt without its end, then answers."""
    return {
        "caption": {"prompt": f" {CAPTION_PROMPT}", "max_tokens": CAPTION_TOKENS},
        "entailment": {"prompt": f" {ENTAILMENT_PROMPT}", "answers": [f" {label}" for label in LABELS],
                       "decoder_prefix": "prompt"},
        "vqa": {"prompt": " {question}", "max_tokens": ANSWER_TOKENS},
    }


def write_bundle_files(folder: Path, config: ModelConfig, exits: dict | None = None) -> None:
    """Everything but model.onnx."""
    size = {"height": config.image_size, "width": config.image_size}
    ids = {"bos_token_id": BOS, "pad_token_id": PAD, "eos_token_id": EOS, "decoder_start_token_id": BOS}
    files = {
        "config.json": {
            "model_type": "mue-demo", "architectures": ["UnifiedModel"], "is_encoder_decoder": True,
            "vocab_size": config.vocab_size, "d_model": config.d_model, "encoder_layers": config.encoder_layers,
            "decoder_layers": config.decoder_layers, "encoder_attention_heads": config.heads,
            "decoder_attention_heads": config.heads, "encoder_ffn_dim": config.ffn_dim,
            "decoder_ffn_dim": config.ffn_dim, "image_size": config.image_size,
            "max_position_embeddings": config.max_positions, "stem_widths": config.stem_widths,
            "stem_blocks": config.stem_blocks, **ids},
        "generation_config.json": {"max_length": CAPTION_TOKENS, "num_beams": 1, "do_sample": False, **ids},
        "preprocessor_config.json": {
            "image_processor_type": "ViTImageProcessor", "do_resize": True, "size": size, "resample": 3,
            "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
            "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "do_convert_rgb": True},
        "mue.json": {
            "version": 1,
            "roles": {n: n for n in ("pixel_values", "input_ids", "decoder_input_ids", "logits")},
            "tasks": tasks(), **({"exits": exits} if exits else {})},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
    shutil.copy(TOKENIZER_PATH, folder / "tokenizer.json")


def read_config(folder: Path) -> ModelConfig:
    """The sizes of an exported model, from its config.json."""
    c = json.loads((folder / "config.json").read_text())
    return ModelConfig(c["vocab_size"], c["d_model"], c["encoder_attention_heads"], c["encoder_ffn_dim"],
                       c["encoder_layers"], c["decoder_layers"], c["image_size"], tuple(c["stem_widths"]),
                       tuple(c["stem_blocks"]), c["max_position_embeddings"])
