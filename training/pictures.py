"""From a picture file to pixel_values, as preprocessor_config.json describes it."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .batches import normalise


def load_picture(image: Image.Image, size: int) -> Tensor:
    """RGB, resized to size x size (bicubic, aspect not kept), -1...1: [1, 3, size, size]."""
    image = image.convert("RGB")
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return normalise(torch.from_numpy(np.array(image))).permute(2, 0, 1)[None]
