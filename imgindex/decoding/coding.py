"""How a picture file is coded, read from its headers: frames, bits, JPEG quality, chroma subsampling."""

import struct

import numpy as np
import numpy.typing as npt

from imgindex.decoding.containers import PARTS, boxes, chunks, directories, riff, segments
from imgindex.types import Pixels

# The luminance table of the JPEG standard (ITU-T T.81, table K.1), in zigzag order, as files keep it.
_LUMINANCE = np.array(
    [
        *(16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40),
        *(58, 51, 61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103),
        *(104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99),
    ]
)
_RATIOS = {(1.0, 1.0): "4:4:4", (2.0, 1.0): "4:2:2", (2.0, 2.0): "4:2:0", (1.0, 2.0): "4:4:0", (4.0, 1.0): "4:1:1"}
_COPIED = 64_000_000  # bytes; copying more is not worth the look
_UNEVEN, _HEAD = 3, 200_000  # the first rows may take so many times their share of a JPEG's bytes, after its headers
_CLEAN = 75  # quality
_KEEPING = (1, 2, 3, 4, 5, 8, 32773, 32946)  # a TIFF's ways to code: none, fax, LZW, Deflate, PackBits; no JPEG
_REDUCED, _MASK = 1, 4  # bits of a TIFF directory's NewSubfileType: no pages


def jpeg_quality(data: bytes | memoryview) -> int | None:
    """The setting of libjpeg, 1 to 100, whose luminance table is nearest to this file's.

    The scaling of tables is that of the Independent JPEG Group's jpeg_quality_scaling; comparing against it is what
    ImageMagick and JPEGsnoop do (Krawetz, "A Picture's Worth", 2007). None without a table.
    """
    for part in segments(data):
        if part.kind == b"\xdb":
            table = _luminance(bytes(data[part.start : part.end]))
            if table is not None:
                return _nearest(table)
    return None


def topmost(data: Pixels, rows: int) -> Pixels | None:
    """A JPEG of only the first rows of a JPEG: its header says so, and what follows is not read."""
    for part in segments(data.data):
        if part.kind in (b"\xc0", b"\xc1", b"\xc2") and part.length >= 6:
            (full,) = struct.unpack_from(">H", data.data, part.start + 1)
            progressive = part.kind == b"\xc2"  # its scans come one after the other, each over all rows
            share = 1.0 if progressive or not full else min(1.0, _UNEVEN * rows / full)
            if len(data) * share > _COPIED:
                return None
            end = np.array([0xFF, 0xD9], np.uint8)
            short = np.concatenate([data[: int(len(data) * share) + _HEAD], end])
            short[part.start + 1 : part.start + 3] = rows >> 8, rows & 255
            return short
    return None


def _luminance(body: bytes) -> npt.NDArray[np.float64] | None:
    at = 0
    while at < len(body):
        wide, number = body[at] >> 4, body[at] & 15
        size = 128 if wide else 64
        if at + 1 + size > len(body):
            return None
        if number == 0:
            return np.frombuffer(body, ">u2" if wide else "u1", 64, at + 1).astype(np.float64)
        at += 1 + size
    return None


def _nearest(table: npt.NDArray[np.float64]) -> int:
    settings = np.arange(1, 101)
    scale = np.where(settings < 50, 5000 // settings, 200 - 2 * settings)
    tables = np.clip((_LUMINANCE[None] * scale[:, None] + 50) // 100, 1, 255)
    return int(settings[np.abs(np.log(tables) - np.log(np.maximum(table, 1))[None]).sum(1).argmin()])


def kept(quality: int | None) -> float:
    """The share of detail that a JPEG of a quality keeps, 0 to 1; all above 75."""
    return 1.0 if quality is None or quality >= _CLEAN else (quality / _CLEAN) ** 0.75


def jpeg_subsampling(data: bytes | memoryview) -> str | None:
    """Such as "4:2:0"; None for a grey picture or one that no such name fits."""
    for part in segments(data):
        if 0xC0 <= part.kind[0] <= 0xCF and part.kind not in (b"\xc4", b"\xc8", b"\xcc"):
            body = bytes(data[part.start : part.end])
            if part.length < 6 or body[5] < 3 or part.length < 6 + 3 * body[5]:
                return None
            factors = [(body[at] >> 4, body[at] & 15) for at in range(7, 7 + 9, 3)]
            (across, down), second, third = factors
            if second != third or not second[0] or not second[1]:
                return None
            return _RATIOS.get((across / second[0], down / second[1]))
    return None


def is_lossless(data: bytes | memoryview, kind: str) -> bool:
    """Whether a file keeps all pixels that it was saved from, but for the colours that a GIF lacks."""
    if kind == "WebP":
        return webp_lossless(data)
    if kind == "TIFF":
        found = directories(data)
        return bool(found) and found[0].first(259, 1) in _KEEPING
    return kind in ("PNG", "BMP", "GIF", "PNM", "PAM")


def webp_lossless(data: bytes | memoryview) -> bool:
    """Whether every frame of a WebP file keeps all pixels."""
    kinds = {part.kind for part in riff(data)} | {
        bytes(data[p.start + 16 : p.start + 20]) for p in riff(data) if p.kind == b"ANMF"
    }
    return b"VP8 " not in kinds


def frames(data: bytes | memoryview, kind: str) -> int:
    """How many frames an animation or pages a TIFF has, as its headers tell; 1 for all others."""
    count = {"GIF": _gif, "PNG": _png, "WebP": _webp, "TIFF": _tiff, "AVIF": _avif}.get(kind)
    return max(1, count(data)) if count else 1


def _gif(data: bytes | memoryview) -> int:
    def table(flags: int) -> int:
        return 3 << ((flags & 7) + 1) if flags & 0x80 else 0

    if len(data) < 14:
        return 0
    at, count = 13 + table(data[10]), 0
    for _ in range(1 << 20):
        if at + 10 > len(data) or data[at] == 0x3B:
            break
        if data[at] == 0x2C:
            count += 1
            at += 11 + table(data[at + 9])
        else:
            at += 2
        while at < len(data) and data[at]:  # the blocks of data
            at += data[at] + 1
        at += 1
    return count


def _png(data: bytes | memoryview) -> int:
    for part in chunks(data):
        if part.kind == b"acTL" and part.length >= 8:
            return min(int(struct.unpack_from(">I", data, part.start)[0]), PARTS)
        if part.kind == b"IDAT":
            return 1
    return 1


def _webp(data: bytes | memoryview) -> int:
    return sum(part.kind == b"ANMF" for part in riff(data))


def _tiff(data: bytes | memoryview) -> int:
    return sum(256 in page and not page.first(254) & (_REDUCED | _MASK) for page in directories(data))


def _avif(data: bytes | memoryview) -> int:
    """The samples of the longest track of a sequence."""
    most = 1
    for movie in boxes(data):
        if movie.kind == b"moov":
            body = bytes(data[movie.start : movie.end])
            at = body.find(b"stsz")
            while at >= 0 and at + 16 <= len(body):
                most = max(most, min(int(struct.unpack_from(">I", body, at + 12)[0]), PARTS))
                at = body.find(b"stsz", at + 4)
    return most
