"""Finds the model in a checkpoint and gives its tensors the names of OFA's published code.

OFA's Hugging Face models name some modules otherwise; what wraps the model (`module.`, `model.`) is taken off.
"""

from __future__ import annotations

import re
from typing import Any

from .checkpoint import Checkpoint
from .errors import ExportError
from .inert_pickle import Inert, TensorRecord

ANCHOR = "encoder.embed_tokens.weight"
# Hugging Face -> published, per layer. Source: modeling_ofa.py beside unify_transformer_layer.py, both OFA-Sys.
LAYER_NAMES = {
    "encoder": {"self_attn_mid_layer_norm": "attn_ln", "ffn_layer_norm": "ffn_layernorm"},
    "decoder": {"self_attn_mid_layer_norm": "self_attn_ln", "cross_attn": "encoder_attn",
                "cross_attn_layer_norm": "encoder_attn_layer_norm", "cross_attn_mid_layer_norm": "cross_attn_ln",
                "ffn_layer_norm": "ffn_layernorm"},
}
_LAYER = re.compile(r"(encoder|decoder)\.layers\.(\d+)\.([a-z_]+)(\..*)?")


def state_records(checkpoint: Checkpoint, ema: bool = False) -> dict[str, TensorRecord]:
    """Every tensor of the model under its published name."""
    content = checkpoint.content
    if not isinstance(content, dict):
        raise ExportError(f"{checkpoint.path}: holds no dict of tensors")
    candidates = [content.get(key) for key in ("model", "state_dict", "module")] + [content]
    state = next((c for c in candidates if isinstance(c, dict) and _prefix(c) is not None), None)
    if state is None:
        raise ExportError(f"{checkpoint.path}: not an OFA checkpoint: there is no tensor {ANCHOR}")
    records = _renamed(state)
    if ema:
        records.update(_averaged(checkpoint, set(records)))
    return records


def _averaged(checkpoint: Checkpoint, known: set[str]) -> dict[str, TensorRecord]:
    """The moving average that OFA keeps beside some models (its VQA scripts evaluate it: --ema-eval)."""
    extra = checkpoint.content.get("extra_state")
    average = extra.get("ema") if isinstance(extra, dict) else None
    if not isinstance(average, dict) or _prefix(average) is None:
        raise ExportError(f"{checkpoint.path}: has no moving average (extra_state.ema): leave out --ema")
    return {name: record for name, record in _renamed(average).items() if name in known}


def _prefix(state: dict) -> str | None:
    ends = [k for k in state if isinstance(k, str) and k.endswith(ANCHOR) and isinstance(state[k], TensorRecord)]
    return min(ends, key=len)[:-len(ANCHOR)] if ends else None


def _renamed(state: dict) -> dict[str, TensorRecord]:
    prefix = _prefix(state)
    records = {}
    for key, record in state.items():
        if isinstance(key, str) and isinstance(record, TensorRecord):
            name = key[len(prefix):] if key.startswith(prefix) else key
            records[published_name(name)] = record
    return records


def published_name(name: str) -> str:
    match = _LAYER.fullmatch(name)
    if match is None:
        return name
    side, number, module, rest = match.groups()
    return f"{side}.layers.{number}.{LAYER_NAMES[side].get(module, module)}{rest or ''}"


def settings(checkpoint: Checkpoint, part: str) -> dict[str, Any]:
    """Plain values of the training settings, where they can be read: `cfg.model` or `cfg.task`; older: `args`."""
    content = checkpoint.content
    fields = {**_fields(content.get("args")), **_fields(_fields(content.get("cfg")).get(part))}
    return {k: v for k, v in fields.items() if isinstance(k, str) and isinstance(v, (bool, int, float, str))}


def _fields(value: object) -> dict:
    if isinstance(value, Inert):
        value = value.state
    return value if isinstance(value, dict) else {}
