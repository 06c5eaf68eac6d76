"""Embedders without a model: fast, deterministic, and odd where a test needs it."""

import threading
import time
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from imgindex import ModelInfo


class FakeEmbedder:
    """16 numbers a picture: the mean grey of its 4 x 4 tiles."""

    def __init__(self, name: str = "fake", weights: str = "0" * 64) -> None:
        self.info = ModelInfo(name, "tiles", "mean", 16, "none", weights, 16)
        self.embedded = 0

    def embed(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.embedded += len(pixels)
        tiles = pixels.reshape(len(pixels), 4, 4, 4, 4, 3).astype(np.float32)
        return tiles.mean(axis=(2, 4, 5)).reshape(len(pixels), 16)


class MirrorEmbedder(FakeEmbedder):
    """The same for a picture and its mirror image."""

    def embed(self, pixels):
        return super().embed(pixels) + super().embed(pixels[:, :, ::-1])


class PageEmbedder(MirrorEmbedder):
    """It sees enough of a picture for a thumbnail."""

    def __init__(self) -> None:
        super().__init__()
        self.info = replace(self.info, input_size=128)

    def embed(self, pixels):
        return super().embed(np.stack([cv2.resize(one, (16, 16), interpolation=cv2.INTER_AREA) for one in pixels]))


class SlowEmbedder(FakeEmbedder):
    """Takes some time for each batch."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def embed(self, pixels):
        time.sleep(self.seconds)
        return super().embed(pixels)


class GatedEmbedder(FakeEmbedder):
    """Waits until its gate is open, and remembers the sizes of its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.batches: list[int] = []

    def embed(self, pixels):
        self.gate.wait(10)
        self.batches.append(len(pixels))
        return super().embed(pixels)
