"""The well-known things the demo scenes are made of.

Every entry is an emoji, the noun captions use for it and its plural.  The artwork is Noto Color Emoji's, the
nouns are English short names or keywords of Unicode CLDR (checked by `cldr_names` and a test).
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

FONT_PATH = os.environ.get("MUE_EMOJI_FONT", "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
CLDR_PATH = os.environ.get("MUE_CLDR_ANNOTATIONS", "/usr/share/unicode/cldr/common/annotations/en.xml")


@dataclass(frozen=True)
class Thing:
    """One kind of thing: its picture, and how English speaks of one and of several."""

    emoji: str
    name: str
    plural: str

    @property
    def article(self) -> str:
        return "an" if self.name[0] in "aeiou" else "a"

    @property
    def one(self) -> str:
        return f"{self.article} {self.name}"


_TABLE = """
🐕 dog|🐈 cat|🐎 horse|🐄 cow|🐖 pig|🐘 elephant|🐇 rabbit|🐫 camel|🐻 bear|🐼 panda|🦊 fox foxes|🦁 lion|🐸 frog|🐵 monkey
🐔 chicken|🐧 penguin|🦆 duck|🦉 owl|🐍 snake|🐢 turtle|🐊 crocodile|🐳 whale|🐬 dolphin|🦈 shark|🐙 octopus octopuses
🐌 snail|🦋 butterfly butterflies|🐝 bee|🐜 ant|🦀 crab|🦓 zebra|🦒 giraffe|🐞 beetle
🌹 rose|🌻 sunflower|🌷 tulip|🌵 cactus cacti|🍄 mushroom|🍁 leaf leaves
🍎 apple|🍌 banana|🍋 lemon|🍐 pear|🍓 strawberry strawberries|🍉 watermelon|🍍 pineapple|🥕 carrot|🥑 avocado avocados
🍕 pizza|🍔 hamburger|🎂 cake|🍩 doughnut|🍪 cookie|🥚 egg|🥨 pretzel
🚗 car|🚌 bus buses|🚚 truck|🚜 tractor|🚲 bicycle|🚁 helicopter|🚀 rocket|🚢 ship|⛵ sailboat|⚓ anchor|✈ airplane
🏠 house|🏰 castle|⛺ tent|⛪ church churches|🪑 chair|🚪 door|🚽 toilet|🪜 ladder|🧺 basket|🪣 bucket
⏰ clock|⌚ watch watches|📷 camera|📺 television|💻 laptop|🔑 key|🔨 hammer|🔔 bell|📕 book|🕯 candle|☂ umbrella
🧲 magnet|🎩 hat|👑 crown|💍 ring|👞 shoe|👕 shirt|👗 dress dresses|🎸 guitar|🎻 violin|🎺 trumpet|🥁 drum|🎹 piano
🎈 balloon|🎁 gift|🏆 trophy trophies|🏀 basketball|⚽ ball|🪁 kite|☀ sun|🌙 moon|⭐ star|☁ cloud|⛄ snowman snowmen
🔥 fire|🌈 rainbow|🤖 robot|👻 ghost|💀 skull|❤ heart|👁 eye|👂 ear
"""


def _parse(table: str) -> tuple[Thing, ...]:
    things = []
    for entry in table.replace("\n", "|").split("|"):
        if entry.strip():
            emoji, name, *plural = entry.split()
            things.append(Thing(emoji, name, plural[0] if plural else name + "s"))
    return tuple(things)


THINGS: tuple[Thing, ...] = _parse(_TABLE)


def cldr_names(path: str = CLDR_PATH) -> dict[str, set[str]]:
    """The short name and keywords CLDR gives each emoji, split into lower-case words."""
    names: dict[str, set[str]] = {}
    for node in ElementTree.parse(path).getroot().iter("annotation"):
        words = names.setdefault(node.get("cp", "").replace("\ufe0f", ""), set())
        for phrase in (node.text or "").lower().split("|"):
            words.add(phrase.strip())
            words.update(phrase.replace("-", " ").split())
    return names
