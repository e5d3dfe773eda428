"""Writes pictures and what Pillow makes of them, for the Swift tests.

    python Tests/python/make_vision_samples.py DIRECTORY [--images 40]        # needs Pillow 13 or newer

DIRECTORY/vision/decode.json lists files with the RGB pixels (file.rgb) that ImageOps.exif_transpose and convert("RGB")
give; resize.json lists resizes; process.json lists preprocessor configurations with the tensors that NumPy makes of
them. Point MUE_PARITY_DATA at DIRECTORY and run the Swift tests.
"""

import argparse
import io
import json
import math
import pathlib
import random

import numpy as np
from PIL import Image, ImageOps


def picture(rng, width, height, channels=3):
    """Smooth colours, edges and noise, so that every coefficient of a filter matters."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = []
    for _ in range(channels):
        a, b, c = rng.uniform(0.01, 0.3), rng.uniform(0.01, 0.3), rng.uniform(0, 6)
        plane = 127 + 120 * np.sin(a * x + b * y + c)
        plane += (((x * rng.uniform(0.05, 0.5)).astype(int) + (y * rng.uniform(0.05, 0.5)).astype(int)) % 2) * rng.uniform(-90, 90)
        planes.append(plane)
    noise = np.random.default_rng(rng.randrange(1 << 30)).normal(0, rng.choice([0, 5, 60]), (height, width, channels))
    image = np.clip(np.stack(planes, -1) + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.1:  # hard black and white: overshoot must clip as in the reference
        image = np.where(image > 127, 255, 0).astype(np.uint8)
    return image


def decode_samples(rng, folder, count):
    entries = []

    def keep(name, data):
        (folder / name).write_bytes(data)
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        pixels = np.asarray(image)
        (folder / (name + ".rgb")).write_bytes(pixels.tobytes())
        entries.append({"file": name, "width": image.width, "height": image.height})

    def saved(image, form, **options):
        stream = io.BytesIO()
        image.save(stream, form, **options)
        return stream.getvalue()

    for i in range(count):
        w, h = rng.randrange(1, 90), rng.randrange(1, 90)
        rgb = Image.fromarray(picture(rng, w, h))
        exif = Image.Exif()
        orientation = rng.choice([None, 1, 2, 3, 4, 5, 6, 7, 8, 0, 9])
        if orientation is not None:
            exif[0x0112] = orientation
        extra = {"exif": exif.tobytes()} if orientation is not None else {}
        keep(f"{i}-rgb.jpg", saved(rgb, "JPEG", quality=rng.choice([30, 75, 90, 100]), subsampling=rng.choice([0, 1, 2]),
                                   progressive=rng.random() < 0.4, optimize=rng.random() < 0.5, **extra))
        keep(f"{i}-grey.jpg", saved(rgb.convert("L"), "JPEG", progressive=rng.random() < 0.5, **extra))
        keep(f"{i}-cmyk.jpg", saved(Image.fromarray(picture(rng, w, h, 4), "CMYK"), "JPEG", quality=95, **extra))
        keep(f"{i}-rgb.png", saved(rgb, "PNG", **extra))
        rgba = Image.fromarray(picture(rng, w, h, 4), "RGBA")
        keep(f"{i}-rgba.png", saved(rgba, "PNG", **extra))
        keep(f"{i}-la.png", saved(rgba.convert("LA"), "PNG"))
        keep(f"{i}-grey.png", saved(rgb.convert("L"), "PNG", **extra))
        keep(f"{i}-one.png", saved(rgb.convert("1"), "PNG"))
        keep(f"{i}-grey-transparent.png", saved(rgb.convert("L"), "PNG", transparency=rng.randrange(256)))
        keep(f"{i}-rgb-transparent.png", saved(rgb, "PNG", transparency=rgb.getpixel((0, 0))))
        for bits in (1, 2, 4, 8):
            palette = rgb.quantize(2 ** bits)
            options = {"transparency": rng.randrange(2)} if rng.random() < 0.5 else {}
            keep(f"{i}-palette{bits}.png", saved(palette, "PNG", bits=bits, **options))
        keep(f"{i}-interlaced.png", interlaced(rng, w, h))
        keep(f"{i}-grey2.png", raw_png(rng, w, h, 2, 0))
        keep(f"{i}-grey4.png", raw_png(rng, w, h, 4, 0))
        keep(f"{i}-rgb16.png", raw_png(rng, w, h, 16, 2))
        keep(f"{i}-rgba16.png", raw_png(rng, w, h, 16, 6))
        keep(f"{i}-la16.png", raw_png(rng, w, h, 16, 4))
    return entries


def chunk(kind, data):
    import struct
    import zlib
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, color, lines, interlace=0):
    import struct
    import zlib
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace))
            + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))


def raw_png(rng, width, height, depth, color):
    """Kinds that Pillow reads but does not write, with random samples and unfiltered lines."""
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[color]
    line = (width * samples * depth + 7) // 8
    return png(width, height, depth, color, b"".join(b"\0" + rng.randbytes(line) for _ in range(height)))


def interlaced(rng, width, height):
    """Adam7, 8-bit RGB."""
    image = picture(rng, width, height)
    lines = b""
    for x0, y0, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        part = image[y0::dy, x0::dx]
        if part.size:
            lines += b"".join(b"\0" + row.tobytes() for row in part)
    return png(width, height, 8, 2, lines, interlace=1)


def resize_samples(rng, folder, count):
    entries = []
    sizes = [(1, 1, 7, 5), (640, 480, 480, 480), (100, 75, 480, 480), (3, 601, 4, 50), (2, 500, 9, 120), (333, 5, 111, 5)]
    for i in range(count * 6):
        if i < 6 * len(sizes):
            w, h, tw, th = sizes[i // 6]
        else:
            w, h = rng.randrange(1, 200), rng.randrange(1, 200)
            tw, th = rng.choice([(rng.randrange(1, 200), rng.randrange(1, 200)), (w, rng.randrange(1, 99)),
                                 (rng.randrange(1, 99), h), (w * 2, h * 2), (max(w // 3, 1), max(h // 3, 1))])
        image = picture(rng, w, h)
        (folder / f"resize{i}.rgb").write_bytes(image.tobytes())
        result = Image.fromarray(image).resize((tw, th), i % 6)
        (folder / f"resize{i}.out").write_bytes(np.asarray(result).tobytes())
        entries.append({"name": f"resize{i}", "width": w, "height": h, "to": [tw, th], "filter": i % 6})
    return entries


def resize_output_size(height, width, size):
    """Hugging Face's get_resize_output_image_size with default_to_square=False."""
    short, long = (width, height) if width <= height else (height, width)
    new_short, new_long = size, int(size * long / short)
    return (new_long, new_short) if width <= height else (new_short, new_long)


def center_crop(image, crop_height, crop_width):
    """Hugging Face's center_crop on [height, width, 3]."""
    h, w = image.shape[:2]
    top, left = (h - crop_height) // 2, (w - crop_width) // 2
    bottom, right = top + crop_height, left + crop_width
    if top >= 0 and bottom <= h and left >= 0 and right <= w:
        return image[top:bottom, left:right]
    new_height, new_width = max(crop_height, h), max(crop_width, w)
    new = np.zeros((new_height, new_width, 3), image.dtype)
    top_pad, left_pad = math.ceil((new_height - h) / 2), math.ceil((new_width - w) / 2)
    new[top_pad:top_pad + h, left_pad:left_pad + w] = image
    top, bottom, left, right = top + top_pad, bottom + top_pad, left + left_pad, right + left_pad
    return new[max(0, top):min(new_height, bottom), max(0, left):min(new_width, right)]


def resized(image, height, width, resample):
    return np.asarray(Image.fromarray(image).resize((width, height), resample))


def processed(image, c):
    """The NumPy way of Hugging Face's image processors."""
    if c.get("do_align_long_axis"):
        h, w = image.shape[:2]
        if (c["size"]["width"] < c["size"]["height"] and w > h) or (c["size"]["width"] > c["size"]["height"] and w < h):
            image = np.ascontiguousarray(np.rot90(image, 3))
    h, w = image.shape[:2]
    if c.get("do_resize", True):
        size = c["size"]
        if "do_thumbnail" in c:
            image = resized(image, *resize_output_size(h, w, min(size["height"], size["width"])), c["resample"])
        elif isinstance(size, int):
            image = resized(image, size, size, c["resample"])
        elif "shortest_edge" in size:
            image = resized(image, *resize_output_size(h, w, size["shortest_edge"]), c["resample"])
        elif "longest_edge" in size:
            long = size["longest_edge"]
            target = (max(int(long * h / w), 1), long) if w >= h else (long, max(int(long * w / h), 1))
            image = resized(image, *target, c["resample"])
        else:
            image = resized(image, size["height"], size["width"], c["resample"])
    if c.get("do_thumbnail"):
        h, w = image.shape[:2]
        height, width = min(h, c["size"]["height"]), min(w, c["size"]["width"])
        if (height, width) != (h, w):
            if h > w:
                width = int(w * height / h)
            elif w > h:
                height = int(h * width / w)
            image = np.asarray(Image.fromarray(image).resize((width, height), c["resample"], reducing_gap=2.0))
    if c.get("do_pad"):
        h, w = image.shape[:2]
        top, left = (c["size"]["height"] - h) // 2, (c["size"]["width"] - w) // 2
        image = np.pad(image, ((top, c["size"]["height"] - h - top), (left, c["size"]["width"] - w - left), (0, 0)))
    if c.get("do_center_crop"):
        crop = c["crop_size"]
        crop = (crop, crop) if isinstance(crop, int) else (crop["height"], crop["width"])
        image = center_crop(image, *crop)
    if c.get("do_rescale", True):
        image = (image.astype(np.float64) * c.get("rescale_factor", 1 / 255)).astype(np.float32)
    image = image.astype(np.float32)
    if c.get("do_normalize", "image_mean" in c):
        image = (image - np.array(c["image_mean"], np.float32)) / np.array(c["image_std"], np.float32)
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def process_samples(rng, folder, count):
    clip = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
    half = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    configurations = [
        {"do_resize": True, "size": {"height": 48, "width": 48}, "resample": 3, "do_normalize": True, **half},
        {"do_resize": True, "size": {"shortest_edge": 32}, "resample": 3, "do_center_crop": True,
         "crop_size": {"height": 32, "width": 30}, "do_rescale": True, "rescale_factor": 0.00392156862745098,
         "do_normalize": True, **clip},
        {"do_resize": True, "size": {"shortest_edge": 33}, "resample": 2, **clip},
        {"size": {"longest_edge": 41}, "resample": 1, "do_normalize": False},
        {"size": 24, "resample": 0, "image_mean": 0.25, "image_std": 2, "feature_extractor_type": "ViTFeatureExtractor"},
        {"do_resize": False, "do_center_crop": True, "crop_size": 61, **half},
        {"do_resize": False, "do_rescale": False, "do_normalize": True, "image_mean": [120, 110, 100],
         "image_std": [60, 61, 62]},
        {"do_resize": True, "size": {"height": 64, "width": 48}, "resample": 2, "do_thumbnail": True,
         "do_align_long_axis": True, "do_pad": True, **half},
        {"do_resize": True, "size": {"height": 40, "width": 56}, "resample": 3, "do_thumbnail": True,
         "do_align_long_axis": False, "do_pad": True, **half},
    ]
    entries = []
    for i in range(count):
        for j, configuration in enumerate(configurations):
            w, h = rng.randrange(20, 120), rng.randrange(20, 120)
            if "do_thumbnail" in configuration and max(w, h) > 2.5 * min(w, h):
                h = w
            name = f"process{i}-{j}"
            image = picture(rng, w, h)
            (folder / f"{name}.rgb").write_bytes(image.tobytes())
            tensor = processed(image, configuration)
            (folder / f"{name}.out").write_bytes(tensor.astype("<f4").tobytes())
            entries.append({"name": name, "width": w, "height": h, "configuration": configuration,
                            "shape": list(tensor.shape)})
    return entries


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    arguments = parser.parse_args()
    print("seed", arguments.seed)
    rng = random.Random(arguments.seed)
    folder = arguments.directory / "vision"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "decode.json").write_text(json.dumps(decode_samples(rng, folder, arguments.images)))
    (folder / "resize.json").write_text(json.dumps(resize_samples(rng, folder, arguments.images)))
    (folder / "process.json").write_text(json.dumps(process_samples(rng, folder, max(arguments.images // 8, 1))))


if __name__ == "__main__":
    main()
