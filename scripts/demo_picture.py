"""Draws the demo's outcomes: a card for each picture, with layers run and skipped, and the time of the caption."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from demo import Outcome, Run

# All lengths in pixels of the picture, which is meant to be shown at half its size.
WIDTH, MARGIN, GAP = 2000, 48, 32
COLUMNS = 2
CARD_HEIGHT, PADDING, THUMB = 424, 28, 264
PAGE, CARD, INK, QUIET, LINE = "#f4f5f7", "#ffffff", "#1d2433", "#697386", "#dfe3ea"
STREAMS = {"image": "#0e8f83", "text": "#d98a1f", "decoder": "#4a63d9"}
SKIPPED, FULL_TIME, EXIT_TIME = "#e9ecf1", "#b4bcc9", "#1d2433"


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def draw(path: Path, outcomes: list[Outcome], headline: str, footer: str) -> None:
    """Writes the PNG. `outcomes` holds a caption, a question and a hypothesis for each picture, in any order."""
    cards: dict[Path, list[Outcome]] = {}
    for outcome in outcomes:
        cards.setdefault(outcome.task.image, []).append(outcome)
    rows = -(-len(cards) // COLUMNS)
    top = 210
    height = top + rows * (CARD_HEIGHT + GAP) + 50
    canvas = Image.new("RGB", (WIDTH, height), PAGE)
    pen = ImageDraw.Draw(canvas)
    pen.text((MARGIN, 36), "MuE: early exits on the sample pictures", INK, font(52))
    pen.text((MARGIN, 106), headline, INK, font(26))
    legend(pen, MARGIN, 154)
    width = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) // COLUMNS
    longest = max(outcome.full.milliseconds for outcome in outcomes if outcome.task.kind == "caption")
    for index, (image, answers) in enumerate(cards.items()):
        left = MARGIN + index % COLUMNS * (width + GAP)
        card(canvas, pen, image, answers, left, top + index // COLUMNS * (CARD_HEIGHT + GAP), width, longest)
    pen.text((MARGIN, height - 52), footer, QUIET, font(22))
    canvas.save(path, optimize=True)


def legend(pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
    for name, color in (*STREAMS.items(), ("layer skipped", SKIPPED)):
        pen.rounded_rectangle((x, y + 2, x + 30, y + 26), 5, color, LINE if color == SKIPPED else None)
        label = name if color == SKIPPED else f"{name} layer run"
        pen.text((x + 40, y), label, QUIET, font(24))
        x += 40 + round(pen.textlength(label, font(24))) + 36
    pen.text((x, y), "decoder: filled by the share of tokens that ran the layer", QUIET, font(24))


def card(
    canvas: Image.Image, pen: ImageDraw.ImageDraw, image: Path, answers: list[Outcome], left: int, top: int,
    width: int, longest: float,
) -> None:
    pen.rounded_rectangle((left, top, left + width, top + CARD_HEIGHT), 18, CARD, LINE, 2)
    with Image.open(image) as opened:
        thumb = opened.convert("RGB").resize((THUMB, THUMB), Image.Resampling.LANCZOS)
    mask = Image.new("L", thumb.size)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, THUMB - 1, THUMB - 1), 12, 255)
    canvas.paste(thumb, (left + PADDING, top + PADDING), mask)
    caption, *others = sorted(answers, key=lambda outcome: outcome.task.kind != "caption")

    x, right = left + PADDING + THUMB + 30, left + width - PADDING
    y = top + PADDING - 6
    for line in wrapped(pen, caption.exits.text, font(30), right - x)[:2]:
        pen.text((x, y), line, INK, font(30))
        y += 38
    changed = caption.full.text != caption.exits.text
    note = f"at full depth: {caption.full.text}" if changed else "the same at full depth"
    pen.text((x, y + 2), fitted(pen, note, font(20), right - x), QUIET, font(20))

    y = top + 146
    for name, share, words in layers(caption.exits):
        pen.text((x, y), name, QUIET, font(22))
        cells(pen, x + 104, y, right - 88, share, STREAMS[name])
        pen.text((right, y), words, INK, font(22), anchor="ra")
        y += 36
    times(pen, caption, x, right, top + 258, longest)

    y = top + PADDING + THUMB + 46
    pen.line((left + PADDING, y - 16, right, y - 16), LINE, 2)
    middle = left + width // 2 + 40
    for other, start, end in zip(others, (left + PADDING, middle), (middle - 20, right)):
        answer = other.exits.text
        if other.full.text != answer:
            answer += f" (full depth: {other.full.text})"
        pen.text((start, y), fitted(pen, other.task.label, font(22), end - start), QUIET, font(22))
        pen.text((start, y + 30), fitted(pen, answer, font(26), end - start), INK, font(26))


def layers(run: Run) -> list[tuple[str, list[float], str]]:
    """For each stream: the share of its tokens that ran each layer, and the layers in words."""
    image, text, decoder = run.depth
    tokens = len(run.decoder)
    return [
        ("image", [float(layer < run.image) for layer in range(image)], f"{run.image} of {image}"),
        ("text", [float(layer < run.text_layers) for layer in range(text)], f"{run.text_layers} of {text}"),
        (
            "decoder",
            [sum(layer < ran for ran in run.decoder) / tokens for layer in range(decoder)],
            f"{statistics.mean(run.decoder):.1f} of {decoder}",
        ),
    ]


def cells(pen: ImageDraw.ImageDraw, x: int, y: int, right: int, shares: list[float], color: str) -> None:
    step = (right - 20 - x) / len(shares)
    for layer, share in enumerate(shares):
        begin, end = round(x + layer * step), round(x + (layer + 1) * step) - 5
        pen.rounded_rectangle((begin, y, end, y + 26), 5, SKIPPED, LINE)
        if share > 0:
            pen.rounded_rectangle((begin, y, max(begin + 4, round(begin + share * (end - begin))), y + 26), 5, color)


def times(pen: ImageDraw.ImageDraw, outcome: Outcome, x: int, right: int, y: int, longest: float) -> None:
    room = right - 220 - (x + 104)
    for name, milliseconds, color in (
        ("full", outcome.full.milliseconds, FULL_TIME),
        ("exits", outcome.exits.milliseconds, EXIT_TIME),
    ):
        end = round(x + 104 + room * min(1.0, milliseconds / longest))
        pen.text((x, y - 3), name, QUIET, font(22))
        pen.rounded_rectangle((x + 104, y + 2, end, y + 18), 4, color)
        pen.text((end + 12, y - 3), f"{milliseconds:.1f} ms", INK, font(22))
        y += 30
    words = f"{abs(outcome.saving):.0%} {'less' if outcome.saving >= 0 else 'more'}"
    pen.text((right, y - 47), words, STREAMS["image"] if outcome.saving >= 0 else QUIET, font(26), anchor="ra")


def wrapped(pen: ImageDraw.ImageDraw, text: str, face: ImageFont.ImageFont, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if pen.textlength(longer, face) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def fitted(pen: ImageDraw.ImageDraw, text: str, face: ImageFont.ImageFont, width: int) -> str:
    if pen.textlength(text, face) <= width:
        return text
    while text and pen.textlength(text + "...", face) > width:
        text = text[:-1]
    return text.rstrip() + "..."
