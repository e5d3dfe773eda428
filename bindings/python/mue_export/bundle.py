"""The files beside model.onnx: sizes, search, image preprocessing, tokenizer, and mue.json with OFA's tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .model import BOS, EOS, PAD
from .sizes import OFASizes

ANSWERS = [" yes", " no", " maybe"]


IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


@dataclass(frozen=True)
class TaskSettings:
    """What a checkpoint's training settings say about how it is used; the defaults are those of most published ones."""

    image_size: int = 480
    mean: list[float] = field(default_factory=lambda: [0.5, 0.5, 0.5])
    std: list[float] = field(default_factory=lambda: [0.5, 0.5, 0.5])
    max_image_size: int = 512
    decoder_reads_prompt: bool = True

    @classmethod
    def of(cls, settings: Mapping[str, Any], image_size: int | None) -> TaskSettings:
        def size(name: str, default: int) -> int:
            value = settings.get(name)
            return value if type(value) is int and value > 0 else default

        mean, std = IMAGENET if settings.get("imagenet_default_mean_and_std") is True else ([0.5] * 3, [0.5] * 3)
        return cls(image_size if image_size is not None else size("patch_image_size", cls.image_size), mean, std,
                   size("max_image_size", cls.max_image_size), settings.get("prompt_type") not in ("none", "src"))


def tasks(settings: TaskSettings, bins: int) -> dict[str, Any]:
    """How OFA asks each task, searches its answer and treats it. Source: its data sets and run_scripts."""
    search = {"beams": 5, "no_repeat_ngram_size": 3, "length_penalty": 1.0}
    prefix = {"decoder_prefix": "prompt"} if settings.decoder_reads_prompt else {}
    verdict = {"answers": ANSWERS, **prefix}
    return {
        "caption": {"prompt": " what does the image describe?", "max_tokens": 16, **search,
                    "remove_punctuation": True},
        "entailment": {"prompt": ' can image and text1 " {caption} " imply text2 " {hypothesis} "?', **verdict},
        "entailment_without_caption": {"prompt": ' does the image describe " {hypothesis} "?', **verdict},
        "grounding": {"prompt": ' which region does the text " {expression} " describe?', "output": "boxes",
                      "min_tokens": 4, "max_tokens": 4, **search, "bins": bins,
                      "max_image_size": settings.max_image_size},
        # Its scores are not normalised by length (--unnormalized).
        "vqa": {"prompt": " {question}", "max_tokens": 16, "beams": 5, "no_repeat_ngram_size": 0,
                "length_penalty": 0.0, "normalize_over": "answers", **prefix},
    }


def write_bundle_files(folder: Path, sizes: OFASizes, settings: TaskSettings, tokenizer: dict[str, Any],
                       encoder: dict[str, Any], source: dict[str, Any]) -> None:
    image_size = settings.image_size
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
            "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": settings.mean, "image_std": settings.std},
        "mue.json": {
            "version": 1,
            "roles": {name: name for name in ("pixel_values", "input_ids", "decoder_input_ids", "logits")},
            **encoder, "source": source, "tasks": tasks(settings, bins)},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), "utf-8")
