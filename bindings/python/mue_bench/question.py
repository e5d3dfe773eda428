"""From a picture file and a prompt to what a model takes, and from tokens to text, as the bundle's files say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


class Bundle:
    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self.folder = folder

        def read(name: str) -> dict:
            path = folder / name
            return json.loads(path.read_text()) if path.exists() else {}

        self.config = {**read("config.json"), **read("generation_config.json")}
        self.preprocessor = read("preprocessor_config.json")
        settings = read("mue.json")
        self.roles = settings.get("roles", {})
        self.caption = settings.get("tasks", {}).get("caption", {})
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.start = self.config.get("decoder_start_token_id", self.config.get("bos_token_id", 0))
        self.end = self.config.get("eos_token_id", 2)
        self.most = self.caption.get("max_tokens") or self.config.get("max_length") or 20

    def role(self, name: str) -> str:
        return self.roles.get(name, name)

    def pixels(self, path: str) -> np.ndarray:
        """float32 [1, 3, height, width]"""
        from PIL import Image

        settings, size = self.preprocessor, self.preprocessor["size"]
        with Image.open(path) as file:
            picture = file.convert("RGB")
        if settings.get("do_resize", True):
            edge = size.get("shortest_edge")
            picture = picture.resize((size.get("width", edge), size.get("height", edge)), settings.get("resample", 3))
        values = np.asarray(picture, np.float32)
        if settings.get("do_rescale", True):
            values = values * np.float32(settings.get("rescale_factor", 1 / 255))
        if settings.get("do_normalize", True):
            values = (values - np.float32(settings["image_mean"])) / np.float32(settings["image_std"])
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32)

    def ids(self, prompt: str | None) -> np.ndarray:
        """int64 [1, length]"""
        return np.array([self.tokenizer.encode(prompt if prompt is not None else self.caption["prompt"]).ids], np.int64)

    def text(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens)
