"""MuE's training loss: every decoder layer predicts, through the shared final LayerNorm and head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .batches import IGNORED, Batch, TextGroup, normalise
from .model import UnifiedModel

EARLY = {"caption": 1.0, "hypothesis": 1.5, "answer": 0.75, "cells": 1.0}
LATE = {"caption": 1.5, "hypothesis": 0.75, "answer": 2.0, "cells": 0.75}  # when entailment is learnt


class CellHead(nn.Module):
    """The training-only class of each image cell: similarity to the word embeddings of the things' names."""

    def __init__(self, name_ids: list[int], d_model: int) -> None:
        super().__init__()
        self.register_buffer("name_ids", torch.tensor(name_ids), persistent=False)
        self.background = nn.Parameter(torch.randn(d_model) * d_model ** -0.5)

    def forward(self, tokens: Tensor, embedding: nn.Embedding, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Loss, and how many of the cells with a thing are named right."""
        classes = torch.cat([embedding.weight[self.name_ids], self.background[None]])
        logits = (tokens @ classes.T).flatten(0, 1).float()
        target = cells.flatten()
        things = target >= 0
        target = torch.where(things, target, len(self.name_ids))
        loss = F.cross_entropy(logits, target, reduction="none")
        weight = torch.where(things, 1.0, 0.2)
        right = (logits.argmax(-1) == target)[things].float().mean()
        return (loss * weight).sum() / weight.sum(), right.detach()


def layer_losses(model: UnifiedModel, states: list[Tensor], target: Tensor) -> Tensor:
    """Cross-entropy at each decoder layer [layers], on the positions that have a target."""
    wanted = target != IGNORED
    chosen = torch.stack([s[wanted] for s in states[1:]])  # [layers, positions, d]
    logits = model.head(chosen).float()
    labels = target[wanted].expand(len(states) - 1, -1)
    return F.cross_entropy(logits.transpose(1, 2), labels, reduction="none").mean(1)


def at_random_depth(states: list[Tensor], share: float) -> Tensor:
    """For a share of the samples the state after a random layer, for the others the last: [batch, tokens, d]."""
    if share <= 0:
        return states[-1]
    count, batch = len(states) - 1, states[0].shape[0]
    depth = torch.randint(1, count + 1, (batch,), device=states[0].device)
    depth = torch.where(torch.rand(batch, device=depth.device) < share, depth, count)
    return torch.stack(states)[depth, torch.arange(batch, device=depth.device)]


def group_loss(model: UnifiedModel, group: TextGroup, image: Tensor, share: float) -> Tensor:
    encoder = model.encoder
    text = encoder.layer_norm(at_random_depth(encoder.text_states(group.source), share))
    bias = model.cross_bias(group.source, group.decoder_input.shape[1])
    states = model.decoder.states(group.decoder_input, (image, text), bias)
    return layer_losses(model, states, group.target)


def training_loss(model: UnifiedModel, cell_head: CellHead, batch: Batch, depth_share: float,
                  weights: dict[str, float] = EARLY) -> tuple[Tensor, dict]:
    """The loss of one batch, and the last layer's parts of it for the log."""
    encoder = model.encoder
    states = encoder.image_states(normalise(batch.pixels))
    image = encoder.layer_norm(at_random_depth(states, depth_share))
    cells, right = cell_head(image, encoder.embed_tokens, batch.cells)
    losses = {name: group_loss(model, group, image, depth_share)
              for name, group in (("caption", batch.captions), ("hypothesis", batch.hypotheses),
                                  ("answer", batch.answers))}
    total = weights["cells"] * cells + sum(weights[name] * part.mean() for name, part in losses.items())
    report = {name: part[-1].detach() for name, part in losses.items()}
    return total, {**report, "cells": cells.detach(), "cells_right": right}


def stem_loss(model: UnifiedModel, cell_head: CellHead, batch: Batch) -> tuple[Tensor, dict]:
    """The warm-up before training proper: the embedded image alone names the thing in each cell."""
    tokens = model.encoder.embed_image(normalise(batch.pixels))
    loss, right = cell_head(tokens, model.encoder.embed_tokens, batch.cells)
    return loss, {"cells": loss.detach(), "cells_right": right}
