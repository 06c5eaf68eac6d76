"""Colour profiles: the same numbers are other colours in Adobe RGB or Display P3, and viewers show what they mean."""

import hashlib
import io
import struct
import zlib
from functools import lru_cache
from typing import Any

import numpy as np

from imgindex.decoding.containers import chunks, directories, riff, segments
from imgindex.types import Pixels

_LARGEST = 4_000_000  # bytes of a profile; a printer's has 2 MB
_HEAD = 262_144  # bytes of a HEIC or AVIF in which its profile is
_MARK = b"ICC_PROFILE\0"
_SRGB = ((0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))  # columns, for D50
_NEAR = 0.003  # as sRGB's own versions differ; Display P3 is .08 away


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


def _is_srgb(icc: bytes) -> bool:
    """By its primaries and the length of its curves: one number in a curve is another gamma than sRGB's two."""
    tags = _tags(icc)
    for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), _SRGB, strict=True):
        body = tags.get(name, b"")
        if len(body) < 20:
            return False
        if max(abs(v / 65536 - c) for v, c in zip(struct.unpack(">3i", body[8:20]), column, strict=True)) > _NEAR:
            return False
    curve = tags.get(b"rTRC", b"")
    if curve[:4] == b"curv" and len(curve) >= 14 and curve[8:12] == b"\0\0\0\1":
        return bool(abs(int.from_bytes(curve[12:14], "big") / 256 - 2.2) < 0.1)  # so near that nobody sees it
    return curve[:4] == b"para" or len(curve) > 64


def _tags(icc: bytes) -> dict[bytes, bytes]:
    found = {}
    for at in range(132, min(len(icc), 132 + 12 * 64) - 11, 12):
        name, start, length = struct.unpack_from(">4sII", icc, at)
        found[name] = icc[start : start + min(length, 4096)]
    return found
