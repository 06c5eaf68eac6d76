"""A picture file's bytes -> upright RGB pixels. Runs only in the process of `worker`.

Imports next to nothing else of imgindex, and OpenCV's faults are the process's.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from imgindex.decoding import formats, headers, pixels
from imgindex.decoding.protocol import DIGEST
from imgindex.types import Array, Pixels

_DIGESTED = 100_000_000  # bytes; digesting more would cost too much of the time that a picture has

# What a reader gives: pixels as stored, their full size where they are reduced, and EXIF.
Read = tuple[Array, tuple[int, int] | None, bytes]


class Unreadable(Exception):
    """This picture cannot be decoded; the text is the reason."""


@dataclass(frozen=True)
class Picture:
    """What a decoder gave, as stored, and what it takes to show it."""

    stored: Array  # (rows, columns) grey, or (rows, columns, 3) BGR; any number type
    white: float  # the stored value of white; 0: unknown, the values decide
    linear: bool  # values are light, not display values
    turn: headers.Turn
    full: tuple[int, int]  # stored columns and rows of the original; `stored` may be reduced

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright original."""
        width, height = self.full
        return (height, width) if self.turn[0] % 2 else (width, height)

    def digest(self) -> bytes:
        """32 bytes, the same for the same pixels in another lossless file; zeros for a large picture."""
        if self.stored.nbytes > _DIGESTED:
            return bytes(DIGEST)
        grey = self.stored.ndim == 2 and self.stored.dtype in (np.uint8, np.uint16)  # what a PNG keeps, but not a BMP
        colours = cv2.cvtColor(self.stored, cv2.COLOR_GRAY2BGR) if grey else self.stored
        stored = np.ascontiguousarray(colours[..., :3] if colours.ndim == 3 else colours)
        digest = hashlib.blake2b(stored.data, digest_size=DIGEST)
        digest.update(repr((stored.shape, stored.dtype.str, self.white, self.linear, self.turn, self.full)).encode())
        return digest.digest()

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
        return np.ascontiguousarray(small)


@dataclass(frozen=True)
class File:
    """A file's bytes, and the name under which this process can open them."""

    data: Pixels
    name: str


def decode(file: File, smallest: int) -> Picture:
    """The picture in a file; a JPEG is reduced as it is read, to no less than twice `smallest`."""
    data = file.data
    row = formats.format_of(data[: formats.HEAD].tobytes())
    kind = row.name
    stored, full, exif = READERS[row.reader](file, kind, smallest)
    white = headers.white(data, kind, stored.dtype)
    if stored.ndim == 3 and stored.shape[2] in (2, 4):
        # libtiff hands out 8-bit colours already multiplied by alpha.
        stored = pixels.over_white(stored, white, premultiplied=kind == "TIFF" and stored.dtype == np.uint8)
    turn = headers.avif_turn(data) if kind == "AVIF" else None
    if turn is None:
        turn = headers.turn_of(exif)
    rows, columns = stored.shape[:2]
    return Picture(stored, white, kind == "HDR", turn, full or (columns, rows))


def _plain(file: File, kind: str, _smallest: int) -> Read:
    stored, exif = _opencv(file, kind)
    return stored, None, exif


def _opencv(file: File, kind: str, flags: int = cv2.IMREAD_UNCHANGED) -> tuple[Array, bytes]:
    exif = b""
    if kind in ("BMP", "PAM"):  # BMP's fourth byte is rarely alpha; PAM's is RGBA where others give BGRA
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    if kind in ("JPEG", "WebP"):
        stored, types, blocks = cv2.imdecodeWithMetadata(file.data, flags)
        exif = b"".join(b.tobytes() for t, b in zip(types, blocks, strict=True) if t == cv2.IMAGE_METADATA_EXIF)
    elif kind == "TIFF" and headers.orientation(file.data.data) > 4:  # OpenCV turns it itself, but not into a `dst`
        stored = cv2.imdecode(file.data, flags)
    else:
        # With `dst` the pixels are not copied: 300 MB and 0.3 s for 100 megapixels. imdecode has no `dst`.
        stored = cv2.imread(file.name, None, flags)
        if kind == "PNG":
            exif = headers.png_exif(file.data)
    if (stored is None or not stored.size) and kind == "JPEG 2000":  # grey with alpha is not implemented
        stored = cv2.imread(file.name, None, cv2.IMREAD_COLOR)
    if stored is None or not stored.size:
        raise Unreadable(
            f"the {kind} data is damaged, cut short, or of a kind that OpenCV cannot read"
            if kind
            else "not a picture, or in a format that OpenCV cannot read"
        )
    if kind == "PAM" and headers.pam_depth(file.data) == 3:  # OpenCV turns RGBA to BGR, but leaves RGB as it is
        stored = cv2.cvtColor(stored, cv2.COLOR_RGB2BGR)
    return stored, exif


def _jpeg(file: File, _kind: str, smallest: int) -> Read:
    """Decode at 1/8, 1/4 or 1/2 where that is enough: an average over blocks, for a fraction of the cost."""
    full = headers.jpeg_size(file.data)
    scale = 1
    if full:
        scale = next((s for s in (8, 4, 2) if min(full) // s >= 2 * smallest), 1)
    flags = {
        1: cv2.IMREAD_COLOR,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }[scale]
    stored, exif = _opencv(file, "JPEG", flags | cv2.IMREAD_IGNORE_ORIENTATION)
    return stored, full, exif


def _heif(file: File, _kind: str, _smallest: int) -> Read:
    try:
        import pillow_heif
    except ImportError as error:
        raise Unreadable("HEIC pictures need an extra: pip install 'imgindex[heif]'") from error
    pillow_heif.options.DECODE_THREADS = 1
    try:
        image = pillow_heif.open_heif(file.data.tobytes(), convert_hdr_to_8bit=True, bgr_mode=True)
        return np.array(image), None, b""  # upright: libheif applies what the file says
    except (ValueError, RuntimeError, OSError, EOFError, SyntaxError, LookupError) as error:
        raise Unreadable("the HEIC data is damaged, cut short, or of a kind that libheif cannot read") from error


READERS: dict[formats.Reader, Callable[[File, str, int], Read]] = {
    "opencv": _plain,
    "jpeg": _jpeg,
    "heif": _heif,
}
