"""The blocks of EXIF and XMP in a file of any format, and the tags of EXIF, by exifread, within bounds.

exifread was chosen of five: piexif hangs on 17 of 7,457 hostile files; Pillow has no raw files; exiv2 and pyexiv2
read most, but are under the GPL.
"""

import re
import struct
from typing import Any, BinaryIO, cast

from imgindex.decoding.containers import boxes, chunks, directories, riff, segments

_READS, _BYTES = 6_000, 1_000_000  # of one EXIF block; of 95 cameras none needs 4,000 or 50,000; bombs never end
_EMPTY = 14  # bytes of a block without tags: its header, and a directory of none
_PACKET = 1_000_000  # bytes of XMP that are taken
_EDGES = 262_144  # bytes at each end of a file that are searched for what has no place of its own
_XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
_MARKS = (b"\0*", b"*\0", b"\0+", b"+\0")  # of TIFF and BigTIFF, after the byte order


def blocks(data: bytes | memoryview, kind: str) -> tuple[bytes | memoryview, bytes]:
    """The EXIF block (from its TIFF header on) and the XMP packet of a file; empty where there is none."""
    if bytes(data[:2]) in (b"II", b"MM"):  # raw files, too
        return _tiff(data)
    exif, xmp = {"JPEG": _jpeg, "PNG": _png, "WebP": _webp}.get(kind, _other)(data)
    return exif.removeprefix(b"Exif\0\0"), xmp


def _jpeg(data: bytes | memoryview) -> tuple[bytes, bytes]:
    exif = xmp = b""
    for part in segments(data):
        if part.kind != b"\xe1":
            continue
        body = bytes(data[part.start : part.end])
        if not exif and body[:6] == b"Exif\0\0":
            exif = body
        elif not xmp and body.startswith(_XMP_PREFIX):
            xmp = body[len(_XMP_PREFIX) :]
    return exif, xmp


def _png(data: bytes | memoryview) -> tuple[bytes, bytes]:
    exif = xmp = b""
    for part in chunks(data):
        if part.kind == b"eXIf" and not exif:
            exif = bytes(data[part.start : min(part.end, part.start + _BYTES)])
        elif part.kind == b"iTXt" and part.length < _PACKET and not xmp:
            body = bytes(data[part.start : part.end])
            if body.startswith(b"XML:com.adobe.xmp\0\0"):  # compressed ones are against XMP's rules
                xmp = body[body.find(b"<") :]
    return exif, xmp


def _webp(data: bytes | memoryview) -> tuple[bytes, bytes]:
    wanted = [part for part in riff(data) if part.kind in (b"EXIF", b"XMP ")]
    parts = {part.kind: bytes(data[part.start : min(part.end, part.start + _BYTES)]) for part in wanted}
    return parts.get(b"EXIF", b""), parts.get(b"XMP ", b"")


def _tiff(data: bytes | memoryview) -> tuple[bytes | memoryview, bytes]:
    found = directories(data)
    place = found[0].places.get(700) if found else None
    head = bytes(data[:4])
    own = head[2:] not in _MARKS  # ORF and RW2 have a mark of their own
    exif = head[:2] + _MARKS[head[:1] == b"I"] + bytes(data[4:_BYTES]) if own else data
    return exif, bytes(data[place.start : min(place.end, place.start + _PACKET)]) if place else b""


def _other(data: bytes | memoryview) -> tuple[bytes, bytes]:
    """HEIC, AVIF, CR3, RAF and all others: their blocks have marks that are searched for."""
    if bytes(data[:15]) == b"FUJIFILMCCD-RAW" and len(data) > 92:
        start, length = struct.unpack_from(">II", data, 84)
        return _jpeg(data[start : start + length])
    edges = bytes(data[:_EDGES]) + (bytes(data[-_EDGES:]) if len(data) > _EDGES else b"")
    found = re.search(rb"Exif\0\0(?=II\*\0|MM\0\*)", edges)
    return (edges[found.end() :] if found else b""), _packet(edges)


def _packet(data: bytes) -> bytes:
    found = re.search(rb"<(?:\w+:)?xmpmeta\b.*?</(?:\w+:)?xmpmeta>", data, re.DOTALL)
    return found[0] if found else b""


class UnreadError(Exception):
    """There is metadata, but it cannot be read."""


class _Bounded:
    """An EXIF block as a file that can be read so much and no more."""

    def __init__(self, block: bytes | memoryview) -> None:
        self._block, self._at, self._reads, self._left = block, 0, _READS, _BYTES

    def seek(self, offset: int, whence: int = 0) -> None:
        self._at = max(0, offset + self._at * (whence == 1))

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        got = bytes(self._block[self._at : self._at + size if size >= 0 else None])
        self._at += len(got)
        self._reads -= 1
        self._left -= len(got)
        if self._reads < 0 or self._left < 0:
            raise EOFError("more metadata than any camera writes")
        return got


def tags(block: bytes | memoryview) -> dict[str, Any]:
    """exifread's tags of a block, none of an empty one; raises UnreadError for a damaged one."""
    if not block:
        return {}
    import exifread  # 30 ms: only where there is something to read

    exifread.logger.disabled = True
    try:
        found = dict(exifread.process_file(cast(BinaryIO, _Bounded(block)), details=False, extract_thumbnail=False))
    except MemoryError:
        raise
    except Exception as error:  # it reads hostile bytes and raises anything
        raise UnreadError from error
    if not found and any(block[_EMPTY:]):
        raise UnreadError
    return found


def canon(data: bytes | memoryview) -> dict[str, Any]:
    """As `tags`, of a CR3, which keeps its directories apart: CMT1 is the first, CMT2 what is below it elsewhere."""
    found: dict[str, Any] = {}
    for movie in boxes(data):
        for part in boxes(data, movie.start, movie.end) if movie.kind == b"moov" else ():
            inner = boxes(data, part.start + 16, part.end) if part.kind == b"uuid" else ()
            for block in inner:
                if block.kind in (b"CMT1", b"CMT2"):
                    name = "Image" if block.kind == b"CMT1" else "EXIF"
                    known = tags(data[block.start : block.end])
                    found |= {key.replace("Image ", name + " ", 1): value for key, value in known.items()}
    return found
