"""Drawing scenes: cached sprites laid over a coloured background, with numpy alone.

About half a millisecond a picture once the sprites are cached (about 60 MB for all sizes and rotations).
"""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .scenes import BACKGROUNDS, IMAGE_SIZE, Scene
from .things import FONT_PATH, THINGS

BITMAP_SIZE = 109  # the only size of the font's CBDT strikes
CELL = 16
GRID = IMAGE_SIZE // CELL


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONT_PATH, BITMAP_SIZE)


@lru_cache(maxsize=None)
def _artwork(kind: int) -> Image.Image:
    """The emoji on a transparent square, cropped to what is painted."""
    canvas = Image.new("RGBA", (160, 160))
    ImageDraw.Draw(canvas).text((10, 10), THINGS[kind].emoji, font=_font(), embedded_color=True)
    box = canvas.getchannel("A").getbbox()
    if box is None:
        raise RuntimeError(f"the font has no picture of {THINGS[kind].name}")
    side = max(box[2] - box[0], box[3] - box[1])
    square = Image.new("RGBA", (side, side))
    square.paste(canvas.crop(box), ((side - box[2] + box[0]) // 2, (side - box[3] + box[1]) // 2))
    return square


@lru_cache(maxsize=None)
def sprite(kind: int, size: int, angle: int) -> tuple[np.ndarray, np.ndarray]:
    """Premultiplied colour [h, w, 3] and alpha [h, w, 1] of one thing, as float16 in 0...255 and 0...1."""
    art = _artwork(kind).resize((size, size), Image.Resampling.LANCZOS)
    if angle:
        art = art.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    pixels = np.asarray(art, dtype=np.float32)
    alpha = pixels[..., 3:] / 255
    return (pixels[..., :3] * alpha).astype(np.float16), alpha.astype(np.float16)


def draw(scene: Scene) -> np.ndarray:
    """The picture of a scene, uint8 [112, 112, 3]."""
    rng = random.Random(scene.noise_seed)
    image = np.empty((IMAGE_SIZE, IMAGE_SIZE, 3), np.float32)
    base = np.array(BACKGROUNDS[scene.background], np.float32)
    base = base + np.array([rng.uniform(-9, 9) for _ in range(3)], np.float32)
    ramp = np.linspace(-1, 1, IMAGE_SIZE, dtype=np.float32)
    across, down = rng.uniform(-9, 9), rng.uniform(-9, 9)
    image[:] = base + (ramp[None, :, None] * across + ramp[:, None, None] * down)
    for item in scene.placed:
        colour, alpha = sprite(item.kind, item.size, item.angle)
        height, width = alpha.shape[:2]
        top, left = item.y - height // 2, item.x - width // 2
        y0, x0 = max(top, 0), max(left, 0)
        y1, x1 = min(top + height, IMAGE_SIZE), min(left + width, IMAGE_SIZE)
        part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
        image[y0:y1, x0:x1] = image[y0:y1, x0:x1] * (1 - alpha[part].astype(np.float32)) + colour[part]
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)


def cell_labels(scene: Scene) -> np.ndarray:
    """For each 16-pixel cell the kind whose square covers its centre, or -1 for background: int64 [49]."""
    labels = np.full((GRID, GRID), -1, np.int64)
    centres = np.arange(GRID) * CELL + CELL // 2
    for item in scene.placed:
        reach = item.size * 0.42
        rows, columns = np.abs(centres - item.y) <= reach, np.abs(centres - item.x) <= reach
        labels[np.ix_(rows, columns)] = item.kind
        labels[min(item.y // CELL, GRID - 1), min(item.x // CELL, GRID - 1)] = item.kind
    return labels.reshape(-1)
