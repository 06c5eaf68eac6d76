"""A JPEG's coded data, by which large ones are the same or not, and where it ends: films may lie behind that."""

import hashlib
import re
from typing import Any

from imgindex.decoding.containers import segments
from imgindex.types import Pixels

_END = re.compile(b"\xff\xd9")
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


def _is_beside(marker: int) -> bool:
    """Whether a segment holds metadata."""
    return marker == _COMMENT or (0xE0 <= marker <= 0xEF and marker != _ADOBE)
