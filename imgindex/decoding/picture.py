"""A picture file's bytes -> upright RGB pixels. Runs only in the process of `worker`.

Imports next to nothing else of imgindex, and OpenCV's faults are the process's.
"""

import hashlib
import re
import struct
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from imgindex.decoding import formats

_DIGESTED = 100_000_000  # bytes; digesting more would cost too much of the time that a picture has
_STRIP = 256  # rows that are composited at a time, so that the copies stay small

Array = npt.NDArray[Any]

# How often to turn left, and which axis to mirror then, for the values of EXIF's orientation.
_TURNS: dict[int, tuple[int, int | None]] = {
    2: (0, 1),
    3: (2, None),
    4: (0, 0),
    5: (1, 0),
    6: (3, None),
    7: (1, 1),
    8: (1, None),
}


class Unreadable(Exception):
    """This picture cannot be decoded; the text is the reason."""


@dataclass(frozen=True)
class Picture:
    """What a decoder gave, as stored, and what it takes to show it."""

    stored: Array  # (rows, columns) grey, or (rows, columns, 3) BGR; any number type
    white: float  # the stored value of white; 0: unknown, the values decide
    linear: bool  # values are light, not display values
    turn: tuple[int, int | None]
    full: tuple[int, int]  # stored columns and rows of the original; `stored` may be reduced

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright original."""
        width, height = self.full
        return (height, width) if self.turn[0] % 2 else (width, height)

    def digest(self) -> bytes:
        """32 bytes, the same for the same pixels in another lossless file; zeros for a large picture."""
        if self.stored.nbytes > _DIGESTED:
            return bytes(32)
        grey = self.stored.ndim == 2 and self.stored.dtype in (np.uint8, np.uint16)  # what a PNG keeps, but not a BMP
        colours = cv2.cvtColor(self.stored, cv2.COLOR_GRAY2BGR) if grey else self.stored
        stored = np.ascontiguousarray(colours[..., :3] if colours.ndim == 3 else colours)
        digest = hashlib.blake2b(stored.data, digest_size=32)
        digest.update(repr((stored.shape, stored.dtype.str, self.white, self.linear, self.turn, self.full)).encode())
        return digest.digest()

    def rgb(self, width: int, height: int) -> npt.NDArray[np.uint8]:
        """The upright picture squashed to (height, width, 3), RGB, 8 bit."""
        # Turning comes last: then only the small array moves.
        turns, mirror = self.turn
        target = (height, width) if turns % 2 else (width, height)
        small = _eight_bit(_resize(self.stored, *target), self.white, self.linear)
        small = cv2.cvtColor(small, cv2.COLOR_GRAY2RGB if small.ndim == 2 else cv2.COLOR_BGR2RGB)
        small = np.rot90(small, turns)
        if mirror is not None:
            small = np.flip(small, mirror)
        return np.ascontiguousarray(small)


@dataclass(frozen=True)
class File:
    """A file's bytes, and the name under which this process can open them."""

    data: npt.NDArray[np.uint8]
    name: str


def decode(file: File, smallest: int) -> Picture:
    """The picture in a file; a JPEG is reduced as it is read, to no less than twice `smallest`."""
    data = file.data
    head = data[: formats.HEAD].tobytes()
    kind = formats.kind(head)
    if kind == "HEIC":
        stored, full, exif = _heif(data), None, b""
    elif kind == "JPEG":
        stored, full, exif = _jpeg(file, smallest)
    else:
        stored, exif = _opencv(file, kind)
        full = None
    white = _white(data, kind, stored.dtype)
    if stored.ndim == 3 and stored.shape[2] in (2, 4):
        # libtiff hands out 8-bit colours already multiplied by alpha.
        stored = _over_white(stored, white, premultiplied=kind == "TIFF" and stored.dtype == np.uint8)
    turn = _avif_turn(data) if kind == "AVIF" else None
    if turn is None:
        turn = _TURNS.get(_orientation(exif), (0, None))
    rows, columns = stored.shape[:2]
    return Picture(stored, white, kind == "HDR", turn, full or (columns, rows))


def _opencv(file: File, kind: str, flags: int = cv2.IMREAD_UNCHANGED) -> tuple[Array, bytes]:
    exif = b""
    if kind in ("BMP", "PAM"):  # BMP's fourth byte is rarely alpha; PAM keeps RGB where others give BGR
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    if kind in ("JPEG", "WebP"):
        stored, types, blocks = cv2.imdecodeWithMetadata(file.data, flags)
        exif = b"".join(b.tobytes() for t, b in zip(types, blocks, strict=True) if t == cv2.IMAGE_METADATA_EXIF)
    elif kind == "TIFF" and _orientation(file.data.data) > 4:  # OpenCV turns it itself, but not into a `dst`
        stored = cv2.imdecode(file.data, flags)
    else:
        # With `dst` the pixels are not copied: 300 MB and 0.3 s for 100 megapixels. imdecode has no `dst`.
        stored = cv2.imread(file.name, None, flags)
        if kind == "PNG":
            exif = _png_exif(file.data)
    if (stored is None or not stored.size) and kind == "JPEG 2000":  # grey with alpha is not implemented
        stored = cv2.imread(file.name, None, cv2.IMREAD_COLOR)
    if stored is None or not stored.size:
        raise Unreadable(
            f"the {kind} data is damaged, cut short, or of a kind that OpenCV cannot read"
            if kind
            else "not a picture, or in a format that OpenCV cannot read"
        )
    return stored, exif


def _png_exif(data: Array) -> bytes:
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data.data, at)
        if kind == b"eXIf":
            return data[at + 8 : at + 8 + length].tobytes()
        at += 12 + length
    return b""


def _jpeg(file: File, smallest: int) -> tuple[Array, tuple[int, int] | None, bytes]:
    """Decode at 1/8, 1/4 or 1/2 where that is enough: an average over blocks, for a fraction of the cost."""
    full = _jpeg_size(file.data)
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


def _jpeg_size(data: Array) -> tuple[int, int] | None:
    """Columns and rows that the first frame header declares."""
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            return None
        marker = int(data[at + 1])
        if marker == 0xFF:  # padding
            at += 1
            continue
        length, _, rows, columns = struct.unpack_from(">HBHH", data.data, at + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return (columns, rows) if rows and columns else None
        at += 2 + length
    return None


def _heif(data: Array) -> Array:
    try:
        import pillow_heif
    except ImportError as error:
        raise Unreadable("HEIC pictures need an extra: pip install 'imgindex[heif]'") from error
    pillow_heif.options.DECODE_THREADS = 1
    try:
        image = pillow_heif.open_heif(data.tobytes(), convert_hdr_to_8bit=True, bgr_mode=True)
        return np.array(image)  # upright: libheif applies what the file says
    except (ValueError, RuntimeError, OSError, EOFError, SyntaxError, LookupError) as error:
        raise Unreadable("the HEIC data is damaged, cut short, or of a kind that libheif cannot read") from error


def _white(data: Array, kind: str, dtype: np.dtype[Any]) -> float:
    if dtype == np.uint8:
        return 255
    if dtype != np.uint16:
        return 0
    # OpenCV hands these out as stored, in the low bits of 16.
    head = data[:65536].tobytes()
    if kind == "AVIF" and (found := re.search(rb"av1C\x81.(.)", head, re.DOTALL)):
        return 4095 if found[1][0] & 0x20 else 1023
    if kind == "JPEG 2000" and (found := re.search(rb"\xff\x4f\xff\x51.{38}(.)", head, re.DOTALL)):
        return 2.0 ** ((found[1][0] & 0x7F) + 1) - 1
    if kind == "PNM" and (found := re.match(rb"P[2356](?:\s+(?:#[^\n]*\n\s*)*(\d+)){3}", head)):
        return int(found[1])
    return 65535


def _over_white(stored: Array, white: float, *, premultiplied: bool) -> Array:
    """Composite in place, before shrinking, so that the colour of invisible pixels does not bleed in."""
    colours = stored.shape[2] - 1
    top = white or 1.0
    for row in range(0, len(stored), _STRIP):
        strip = stored[row : row + _STRIP]
        alpha = cv2.extractChannel(strip, colours)
        if alpha.min() >= top:
            continue
        for channel in range(colours):
            colour = cv2.extractChannel(strip, channel)
            # white - (white - colour) * alpha, or colour + white * (1 - alpha)
            seen = alpha if premultiplied else cv2.multiply(_less(top, colour), alpha, scale=1 / top)
            over = cv2.add(colour, _less(top, alpha)) if premultiplied else _less(top, seen)
            cv2.insertChannel(over, strip, channel)
    return cv2.extractChannel(stored, 0) if colours == 1 else stored


def _less(top: float, values: Array) -> Array:
    return np.asarray(cv2.subtract(np.full_like(values, top), values))


def _resize(image: Array, width: int, height: int) -> Array:
    """Average over areas along an axis that shrinks, interpolate along one that grows."""
    if image.dtype not in (np.uint8, np.uint16):
        image = np.nan_to_num(image.astype(np.float32, copy=False), posinf=0, neginf=0)
    rows, columns = image.shape[:2]
    inner = (min(columns, width), min(rows, height))
    if columns >= 8 * width and rows >= 8 * height:
        # Twice as fast for a large picture, as halving has a quick path, which needs even sides.
        image = image[: rows // 2 * 2, : columns // 2 * 2]
        image = cv2.resize(image, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
    if inner != (columns, rows):
        image = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
    if inner != (width, height):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return image[..., :3] if image.ndim == 3 else image


def _eight_bit(image: Array, white: float, linear: bool) -> Array:
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    if not white:  # float or wide integers: 0 to 1, or else whatever range the picture uses
        image = image - min(0.0, float(image.min()))
        white = max(1.0, float(np.percentile(image, 99.5))) if image.max() > 1 else 1.0
    scaled = np.clip(image / white, 0, 1)
    if linear:
        scaled = scaled ** (1 / 2.2)
    return np.rint(scaled * 255).astype(np.uint8)


def _orientation(exif: bytes | memoryview) -> int:
    """The tag 0x0112 of the first directory; 1 (upright) where it is missing or damaged."""
    if bytes(exif[:6]) == b"Exif\0\0":
        exif = exif[6:]
    order = {b"II": "<", b"MM": ">"}.get(bytes(exif[:2]))
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(order + "HHIH", exif, entry)
            if tag == 0x0112:
                return int(value)
    except struct.error:
        pass
    return 1


def _avif_turn(data: Array) -> tuple[int, int | None] | None:
    """The boxes irot and imir, which OpenCV ignores; None without them."""
    head = data[:65536].tobytes()
    turn = re.search(rb"\0\0\0\x09irot(.)", head, re.DOTALL)
    mirror = re.search(rb"\0\0\0\x09imir(.)", head, re.DOTALL)
    if not turn and not mirror:
        return None
    return (turn[1][0] & 3 if turn else 0, mirror[1][0] & 1 if mirror else None)
