"""A JPEG's coded data, by which large ones are the same or not, and where it ends: films may lie behind that."""

import hashlib
import re
from typing import Any

from imgindex.decoding.containers import segments
from imgindex.types import Pixels

_END = re.compile(b"\xff\xd9")
STRAY = 256  # bytes that a JPEG may have too many, as some cameras write; more are another file's
_COMMENT, _ADOBE = 0xFE, 0xEE  # of what no picture is decoded from, only Adobe's APP14 says which colours are meant


def end(data: Pixels) -> int:
    """The first byte behind a file's first end marker; 0 where it has none."""
    # Behind the headers, as a thumbnail in them has an end, too.
    scan = next((part.end for part in segments(data.data) if part.kind == b"\xda"), 0)
    view: Any = data.data  # re searches it without a copy, though its types say that it is no buffer
    found = _END.search(view, scan)
    return found.end() if found else 0


def coded(data: Pixels, stop: int) -> bytes:
    """A digest of all up to `stop` that pixels are decoded from: another one for any other scan, table or size."""
    digest = hashlib.blake2b(digest_size=32)
    at = 0
    for part in segments(data.data):
        if _is_beside(part.kind[0]):
            digest.update(data[at : part.start - 4].data)
            at = part.end
    digest.update(data[at:stop].data)
    return digest.digest()


def behind(data: Pixels, stop: int) -> bytes:
    """A digest of what follows the end marker, such as a film or further pictures; empty where that is next to none."""
    rest = data[stop:]
    return hashlib.blake2b(rest.data, digest_size=32).digest() if len(rest) > STRAY and rest.any() else b""


def _is_beside(marker: int) -> bool:
    """Whether a segment holds metadata."""
    return marker == _COMMENT or (0xE0 <= marker <= 0xEF and marker != _ADOBE)
