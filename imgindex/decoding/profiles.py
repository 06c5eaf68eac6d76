"""Colour profiles: the same numbers are other colours in Adobe RGB or Display P3, and viewers show what they mean."""

import hashlib
import io
import zlib
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from imgindex.decoding.containers import chunks, directories, riff, segments
from imgindex.types import Pixels

_LARGEST = 4_000_000  # bytes of a profile; a printer's has 2 MB
_HEAD = 262_144  # bytes of a HEIC or AVIF in which its profile is
_MARK = b"ICC_PROFILE\0"
_NEAR = 2  # grey values; sRGB's own versions move colours by 1, gamma 2.2 greys by 9, Display P3 colours by 64


def profile(data: bytes | memoryview, kind: str) -> bytes:
    """A file's ICC profile for RGB; empty without one, for sRGB's own, and for other colours than RGB."""
    reader = {"JPEG": _jpeg, "PNG": _png, "WebP": _webp, "TIFF": _tiff, "HEIC": _box, "AVIF": _box}.get(kind)
    found = reader(data) if reader else b""
    return found if len(found) > 132 and found[16:20] == b"RGB " and not _is_srgb(found) else b""


def to_srgb(rgb: Pixels, icc: bytes) -> Pixels:
    """(H, W, 3) RGB as a viewer shows it; as it is with a profile that makes no sense."""
    change = _change(icc)
    if change is None:
        return rgb
    from PIL import Image

    return np.array(change.apply(Image.fromarray(rgb)))


@lru_cache(maxsize=16)
def _change(icc: bytes) -> Any:
    from PIL import ImageCms

    try:
        return ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(icc)), _srgb(), "RGB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


@lru_cache(maxsize=1)
def _srgb() -> Any:
    from PIL import ImageCms

    return ImageCms.createProfile("sRGB")


def digest(icc: bytes) -> bytes:
    """What tells pixels with a profile from the same numbers without; empty without one."""
    return hashlib.blake2b(icc, digest_size=16).digest() if icc else b""


def _jpeg(data: bytes | memoryview) -> bytes:
    pieces: dict[int, bytes] = {}
    for part in segments(data):
        body = bytes(data[part.start : part.end]) if part.kind == b"\xe2" else b""
        if body.startswith(_MARK) and len(body) > 14:
            pieces.setdefault(body[12], body[14:])
    return b"".join(pieces[number] for number in sorted(pieces))


def _png(data: bytes | memoryview) -> bytes:
    for part in chunks(data):
        if part.kind == b"IDAT":
            break
        if part.kind == b"iCCP":
            body = bytes(data[part.start : part.end])
            try:
                return zlib.decompressobj().decompress(body[body.index(b"\0") + 2 :], _LARGEST)
            except (ValueError, zlib.error):
                return b""
    return b""


def _webp(data: bytes | memoryview) -> bytes:
    return next((bytes(data[p.start : min(p.end, p.start + _LARGEST)]) for p in riff(data) if p.kind == b"ICCP"), b"")


def _tiff(data: bytes | memoryview) -> bytes:
    found = directories(data)
    place = found[0].places.get(34675) if found else None
    return bytes(data[place.start : min(place.end, place.start + _LARGEST)]) if place else b""


def _box(data: bytes | memoryview) -> bytes:
    head = bytes(data[:_HEAD])
    at = head.find(b"colrprof")
    return head[at + 8 : at - 4 + int.from_bytes(head[at - 4 : at], "big")] if at >= 4 else b""


@lru_cache(maxsize=16)
def _is_srgb(icc: bytes) -> bool:
    """Whether it leaves greys and colours as they are: sRGB's own profiles are many, and none moves them by more."""
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    muted = np.array(list(product((64, 128, 192), repeat=3)), np.uint8)  # full ones are the same in a wider space
    probe = np.concatenate([greys, muted])[None]
    shown = to_srgb(probe, icc).astype(int)
    return _change(icc) is not None and bool(np.abs(shown - probe).max() <= _NEAR)
