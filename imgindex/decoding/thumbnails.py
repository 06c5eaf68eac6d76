"""Small pictures of files, as a page shows them and as a measurement edits them."""

import cv2
import numpy as np

from imgindex import files
from imgindex.decoding.decoder import LARGEST_FILE, Decoders
from imgindex.errors import UnreadablePictureError
from imgindex.records import Decoded
from imgindex.types import Pixels

THUMBNAIL = 320  # pixels of the longer side
_QUALITY = 85  # of the JPEG


def thumbnail(path: str, sha256: bytes, decoders: Decoders) -> bytes | None:
    """A JPEG of THUMBNAIL pixels, in the picture's shape; None where the file is gone, unreadable or has changed."""
    try:
        content = files.read(path, LARGEST_FILE)
        if content.sha256 != sha256:
            return None
        decoded = decoders.decode(content.data, THUMBNAIL)
    except (OSError, UnreadablePictureError):
        return None
    pixels = _shaped(decoded, THUMBNAIL / max(decoded.width, decoded.height))
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def sample(path: str, size: int, decoders: Decoders) -> Pixels | None:
    """(H, W, 3), RGB: the shorter side has `size` pixels. None where the file is gone or unreadable."""
    try:
        decoded = decoders.decode(files.read(path, LARGEST_FILE).data, size)
    except (OSError, UnreadablePictureError):
        return None
    return _shaped(decoded, size / min(decoded.width, decoded.height))


def _shaped(decoded: Decoded, scale: float) -> Pixels:
    """The decoded square in the shape of its picture, which is scaled so."""
    width, height = (max(1, round(scale * side)) for side in (decoded.width, decoded.height))
    return np.asarray(cv2.resize(decoded.pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
