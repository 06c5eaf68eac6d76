"""All frames of an animation, all pages of a TIFF: their digest, so that all take part in "the same picture".

Pillow reads animations: it composes frames as players show them, and knows a PNG's default picture that is no frame.
"""

import hashlib
import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np

from imgindex.decoding.containers import chunks
from imgindex.types import Pixels

_ANIMATED = 24_000_000  # pixels of all frames; composing them takes 0.5 s of the 2 s that a picture has
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error, zlib.error)  # as Pillow says it
_PAGES = 100_000_000  # bytes of all pages


def digest_of_all(data: Pixels, name: str, kind: str, count: int) -> bytes | None:
    """32 bytes for the same frames, or pages, in the same order; None for too many, and where one cannot be read."""
    digest = hashlib.blake2b(digest_size=32)
    try:
        if kind == "TIFF":
            return digest.digest() if _pages(digest, name, count) else None
        return digest.digest() if kind in ("GIF", "WebP", "PNG") and _animation(digest, data) else None
    except (*_DAMAGED, cv2.error):
        return None


def starts_hidden(data: Pixels) -> bool:
    """Whether an animated PNG's default picture is none of its frames, but for programs that show no animation."""
    kinds = [part.kind for part in chunks(data.data)]
    return b"acTL" in kinds and b"fcTL" in kinds and b"IDAT" in kinds and kinds.index(b"IDAT") < kinds.index(b"fcTL")


def first_frame(data: Pixels) -> Pixels | None:
    """(H, W, 4) BGRA: the first frame of an animated PNG, past its default picture; None for a damaged one."""
    try:
        with _opened(data) as image:
            image.seek(1)
            return np.ascontiguousarray(np.asarray(image.convert("RGBA"))[..., [2, 1, 0, 3]])
    except _DAMAGED:
        return None


def _opened(data: Pixels) -> Any:
    from PIL import Image  # 30 ms: only for animations

    Image.MAX_IMAGE_PIXELS = None  # the caller bounds them
    return Image.open(io.BytesIO(data.tobytes()), formats=("GIF", "WEBP", "PNG"))


def _animation(digest: Any, data: Pixels) -> bool:
    with _opened(data) as image:
        first = int(bool(getattr(image, "default_image", False)))
        count = image.n_frames
        if image.width * image.height * count > _ANIMATED:
            return False
        for frame in range(first, count):
            image.seek(frame)
            shown = np.array(image.convert("RGBA"))
            shown[shown[..., 3] == 0] = 0
            duration = round(float(image.info.get("duration") or 0) / 10)  # a GIF counts hundredths of seconds
            digest.update(repr((shown.shape, duration)).encode())
            digest.update(shown.data)
    return True


def _pages(digest: Any, name: str, count: int) -> bool:
    left = _PAGES
    for page in range(count):
        read, images = cv2.imreadmulti(name, page, 1, None, cv2.IMREAD_UNCHANGED)
        if not read or len(images) != 1:
            return False
        left -= images[0].nbytes
        if left < 0:
            return False
        digest.update(repr((images[0].shape, images[0].dtype.str)).encode())
        digest.update(np.ascontiguousarray(images[0]).data)
    return True
