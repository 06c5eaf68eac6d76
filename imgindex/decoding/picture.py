"""A decoded picture, and how it is shown: upright, RGB, of any size. Runs only in the process of `worker`."""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from imgindex.decoding import headers, pixels, profiles
from imgindex.decoding.protocol import DIGEST
from imgindex.types import Array, Pixels

_DIGESTED = 100_000_000  # bytes; digesting more would cost too much of the time that a picture has
_WINDOW = 2048  # pixels across, of what is shown of more than 8 bits


@dataclass(frozen=True)
class Picture:
    """What a decoder gave, as stored, and what it takes to show it."""

    stored: Array  # (rows, columns) grey, or (rows, columns, 3) BGR; any number type
    white: float  # the stored value of white; 0: unknown, the values decide
    linear: bool  # values are light, not display values
    turn: headers.Turn
    full: tuple[int, int]  # stored columns and rows of the original; `stored` may be reduced
    kind: str = ""  # the name of its format; "raw" for a camera's
    frames: int = 1
    alpha: bool = False  # something is seen through
    on_black: bool | None = None  # what it stands on, black or white; None: it covers everything
    more: bytes | None = b""  # digest of alpha, profile and all else in the file; None: it cannot be compared
    extra: bool = False  # a film or further pictures lie in the file, too
    raw: str = ""  # the kind of raw file, such as "dng", that the picture stands for
    top: Pixels | None = None  # (rows, columns), grey: the first rows of a reduced picture in full
    icc: bytes = b""  # profile of the colours, where they are not sRGB's
    coded: bytes = b""  # a digest of what a reduced JPEG is decoded from
    depth: int = 0  # bits a channel, where the pixels do not tell

    @property
    def format(self) -> str:
        """Such as "jpeg" or "dng"."""
        return self.raw or self.kind.lower().replace(" ", "")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright original."""
        width, height = self.full
        return (height, width) if self.turn[0] % 2 else (width, height)

    @property
    def reduced(self) -> float:
        """How many pixels of the original one stored pixel is wide."""
        return self.full[0] / int(self.stored.shape[1])

    @property
    def bits(self) -> int:
        """Bits a channel that are used: 16 that only repeat 8 are 8, and black and white is 1."""
        if self.depth:
            return self.depth
        if self.stored.dtype == np.uint8:
            return 1 if self.stored.ndim == 2 and pixels.everywhere(self.stored, _is_black_or_white) else 8
        if self.stored.dtype != np.uint16:
            return 32
        return (
            8
            if self.white == 255 or pixels.are_eight(self.stored)
            else max(9, round(float(np.log2((self.white or 65535) + 1))))
        )

    @cached_property
    def plain(self) -> Pixels:
        """(rows, columns) or (rows, columns, 3) BGR, 8 bit, as stored; of more than 8 bits only the middle."""
        eight = self.stored.dtype == np.uint8
        plain = self.stored if eight else pixels.eight_bit(self._window(), self.white, self.linear)
        return plain[..., :3] if plain.ndim == 3 else plain

    def _window(self) -> Array:
        rows, columns = ((side - min(side, _WINDOW)) // 2 for side in self.stored.shape[:2])
        window = self.stored[rows : rows + _WINDOW, columns : columns + _WINDOW]
        wide = window.dtype not in (np.uint8, np.uint16)
        return np.nan_to_num(window.astype(np.float32), posinf=0, neginf=0) if wide else window

    def digest(self) -> bytes:
        """32 bytes, the same for the same pixels in another lossless file; zeros where they are not known or too many.

        A reduced JPEG's are those that are coded alike: others may look the same once they are reduced.
        """
        reduced = self.reduced > 1
        if self.more is None or (not self.coded if reduced else self.stored.nbytes > _DIGESTED):
            return bytes(DIGEST)
        digest = hashlib.blake2b(self.coded if reduced else self._colours().data, digest_size=DIGEST)
        digest.update(repr((self.stored.dtype.str, self.white, self.linear, self.turn, self.full, self.depth)).encode())
        digest.update(self.more)
        return digest.digest()

    def _colours(self) -> Array:
        """(rows, columns, 3), as stored; of some types (rows, columns)."""
        grey = self.stored.ndim == 2 and self.stored.dtype in (np.uint8, np.uint16)  # what a PNG keeps, but not a BMP
        colours = cv2.cvtColor(self.stored, cv2.COLOR_GRAY2BGR) if grey else self.stored
        return np.ascontiguousarray(colours[..., :3] if colours.ndim == 3 else colours)

    def rgb(self, width: int, height: int) -> Pixels:
        """The upright picture squashed to (height, width, 3), RGB, 8 bit."""
        # Turning comes last: then only the small array moves.
        turns, mirror = self.turn
        target = (height, width) if turns % 2 else (width, height)
        small = pixels.eight_bit(pixels.resize(self.stored, *target), self.white, self.linear)
        small = cv2.cvtColor(small, cv2.COLOR_GRAY2RGB if small.ndim == 2 else cv2.COLOR_BGR2RGB)
        small = np.rot90(small, turns)
        if mirror is not None:
            small = np.flip(small, mirror)
        small = np.ascontiguousarray(small)
        return profiles.to_srgb(small, self.icc) if self.icc else small

    def shrunk(self, *, pixels: float = math.inf, side: float = math.inf) -> Pixels:
        """(H, W, 3) RGB in its own shape, with at most so many pixels, or so many on its longer side."""
        width, height = self.size
        factor = min(1.0, (pixels / (width * height)) ** 0.5, side / max(width, height))
        return self.rgb(max(1, round(width * factor)), max(1, round(height * factor)))


def _is_black_or_white(part: Array) -> bool:
    return not cv2.inRange(part, 1, 254).any()
