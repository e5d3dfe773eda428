"""The files beside model.onnx: sizes, search, image preprocessing, tokenizer, and mue.json with OFA's tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .model import BOS, EOS, PAD
from .sizes import OFASizes

ANSWERS = [" yes", " no", " maybe"]


def tasks(bins: int) -> dict[str, Any]:
    """How OFA asks each task, searches its answer and treats it. Source: its data sets and run_scripts."""
    search = {"beams": 5, "no_repeat_ngram_size": 3, "length_penalty": 1.0}
    verdict = {"answers": ANSWERS, "decoder_prefix": "prompt"}
    return {
        "caption": {"prompt": " what does the image describe?", "max_tokens": 16, **search,
                    "remove_punctuation": True},
        "entailment": {"prompt": ' can image and text1 " {caption} " imply text2 " {hypothesis} "?', **verdict},
        "entailment_without_caption": {"prompt": ' does the image describe " {hypothesis} "?', **verdict},
        "grounding": {"prompt": ' which region does the text " {expression} " describe?', "output": "boxes",
                      "max_tokens": 4, "bins": bins, "max_image_size": 512},
        # Its scores are not normalised by length (--unnormalized).
        "vqa": {"prompt": " {question}", "max_tokens": 16, "beams": 5, "length_penalty": 0.0},
    }


def write_bundle_files(folder: Path, sizes: OFASizes, image_size: int, tokenizer: dict[str, Any],
                       encoder: dict[str, Any], source: dict[str, Any]) -> None:
    ids = {"bos_token_id": BOS, "pad_token_id": PAD, "eos_token_id": EOS, "decoder_start_token_id": BOS}
    bins = sum(token["content"].startswith("<bin_") for token in tokenizer["added_tokens"])
    files = {
        "config.json": {
            "model_type": "ofa", "architectures": ["OFAModel"], "is_encoder_decoder": True,
            "vocab_size": sizes.vocabulary, "d_model": sizes.width,
            "encoder_layers": sizes.encoder_layers, "decoder_layers": sizes.decoder_layers,
            "encoder_attention_heads": sizes.heads, "decoder_attention_heads": sizes.heads,
            "encoder_ffn_dim": sizes.ffn, "decoder_ffn_dim": sizes.ffn, "resnet_blocks": sizes.blocks,
            "image_size": image_size, "image_bucket_size": sizes.image_bucket, "token_bucket_size": sizes.token_bucket,
            "max_position_embeddings": sizes.longest, "tie_word_embeddings": True, **ids},
        "generation_config.json": {
            "num_beams": 5, "no_repeat_ngram_size": 3, "length_penalty": 1.0, "max_length": 16, "max_new_tokens": 16,
            "do_sample": False, **ids},
        "preprocessor_config.json": {
            "image_processor_type": "ViTImageProcessor", "do_convert_rgb": True, "do_resize": True,
            "size": {"height": image_size, "width": image_size}, "resample": 3, "do_rescale": True,
            "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5]},
        "mue.json": {
            "version": 1,
            "roles": {name: name for name in ("pixel_values", "input_ids", "decoder_input_ids", "logits")},
            **encoder, "source": source, "tasks": tasks(bins)},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), "utf-8")
