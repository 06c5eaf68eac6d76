"""A picture file's bytes -> its decoded picture. Runs only in the process of `worker`.

Imports next to nothing else of imgindex, and OpenCV's faults are the process's.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from imgindex.decoding import coding, cutouts, damage, formats, frames, headers, jpeg, pixels, profiles, raw, tiff
from imgindex.decoding.picture import Picture
from imgindex.types import Array, Pixels

_TOP = 250_000  # pixels of a reduced picture that are looked at in full, for 1.5 ms
_FULL = 65535  # white of 16 bits
_EXIF = 1 << 20  # bytes of a raw file in which its first directory is


class Unreadable(Exception):
    """This picture cannot be decoded; the text is the reason."""


@dataclass(frozen=True)
class File:
    """A file's bytes, and the name under which this process can open them."""

    data: Pixels
    name: str
    errors: int | None = None  # this process's standard error as a file: libjpeg says there what is damaged

    def complaint(self) -> str:
        """What a library said since the last look."""
        if self.errors is None or not os.fstat(self.errors).st_size:
            return ""
        said = os.pread(self.errors, 4096, 0).decode(errors="replace")
        os.ftruncate(self.errors, 0)
        os.lseek(self.errors, 0, os.SEEK_SET)
        return said


@dataclass(frozen=True)
class Read:
    """What a reader gives."""

    stored: Array  # pixels as stored: grey, BGR or BGRA
    exif: bytes | memoryview = b""
    full: tuple[int, int] | None = None  # columns and rows of the original, where `stored` is reduced
    top: Pixels | None = None  # (rows, columns), grey: its first rows in full then
    coded: bytes = b""  # a digest of what a reduced JPEG is decoded from
    extra: bytes | None = b""  # a digest of what lies in the file beside it; None: it is not compared
    depth: int = 0  # bits a channel, where the pixels do not tell


def decode(file: File, smallest: int, *, on_black: bool | None = None) -> Picture:
    """The picture in a file; a JPEG is reduced as it is read, to no less than twice `smallest`.

    `on_black`: what a cut-out is to stand on, black or white; None: what shows it best.
    """
    data = file.data
    camera = raw.kind_of(data.data)
    row = formats.format_of(data[: formats.HEAD].tobytes())
    kind = "raw" if camera else row.name
    if damage.is_unfilled(data, kind):
        raise Unreadable(f"the {kind} data is damaged or cut short: a part of the picture is missing")
    read = READERS["raw" if camera else row.reader](file, camera or kind, smallest)
    stored, white = read.stored, headers.white(data, kind, read.stored.dtype)
    if white == _FULL:
        white = pixels.white_of(stored)
    count = coding.frames(data.data, kind)
    more = frames.digest_of_all(data, file.name, kind, count) if count > 1 else b"raw" if camera else b""
    veil, mask = 0.0, b""
    if stored.ndim == 3 and stored.shape[2] in (2, 4):
        veil, mask = cutouts.veil(stored, white)
        # libtiff hands out 8-bit colours already multiplied by alpha.
        premultiplied = kind == "TIFF" and stored.dtype == np.uint8
        if on_black is None:
            on_black = cutouts.vanishes_on_white(stored, white, premultiplied=premultiplied)
        stored = cutouts.flattened(stored, white, premultiplied=premultiplied, on_black=on_black)
    turn = headers.avif_turn(data) if kind == "AVIF" else None
    icc = profiles.profile(data.data, kind) if stored.ndim == 3 else b""
    rows, columns = stored.shape[:2]
    return Picture(
        stored,
        white,
        linear=kind == "HDR",
        turn=headers.turn_of(read.exif) if turn is None else turn,
        full=read.full or (columns, rows),
        kind=kind,
        frames=count,
        alpha=veil > cutouts.SEEN_THROUGH,
        on_black=on_black if mask else None,
        more=None if veil > cutouts.UNSEEN else _joined(more, read.extra, mask, profiles.digest(icc)),
        extra=read.extra != b"",
        raw=camera,
        top=read.top,
        icc=icc,
        coded=read.coded,
        depth=read.depth,
    )


def _joined(*digests: bytes | None) -> bytes | None:
    """None where one of them is."""
    known = [one for one in digests if one is not None]
    return b"".join(known) if len(known) == len(digests) else None


def _plain(file: File, kind: str, _smallest: int) -> Read:
    return _opencv(file, kind)


def _opencv(file: File, kind: str, flags: int = cv2.IMREAD_UNCHANGED) -> Read:
    stored: Array | None
    exif = b""
    if kind in ("BMP", "PAM"):  # BMP's fourth byte is rarely alpha; PAM's is RGBA where others give BGRA
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    hidden = kind == "PNG" and frames.starts_hidden(file.data)
    if hidden and (frame := frames.first_frame(file.data)) is not None:
        return Read(frame, headers.png_exif(file.data))
    if kind in ("JPEG", "WebP"):
        stored, types, blocks = cv2.imdecodeWithMetadata(file.data, flags)
        exif = b"".join(b.tobytes() for t, b in zip(types, blocks, strict=True) if t == cv2.IMAGE_METADATA_EXIF)
    elif kind == "TIFF" and (deep := _deep(file.data)) is not None:
        stored = deep
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
    return Read(_put_right(stored, file.data, kind), exif)


def _put_right(stored: Array, data: Pixels, kind: str) -> Array:
    """What OpenCV reads wrongly."""
    if kind == "TIFF" and stored.dtype == np.uint16:
        return tiff.positive(stored, data)
    if kind == "PAM" and headers.pam_depth(data) == 3:  # OpenCV turns RGBA to BGR, but leaves RGB as it is
        return np.asarray(cv2.cvtColor(stored, cv2.COLOR_RGB2BGR))
    return stored


def _deep(data: Pixels) -> Array | None:
    try:
        return tiff.deep(data)
    except ValueError as error:
        raise Unreadable("the TIFF keeps its colours in planes or inks, in a way that OpenCV cannot read") from error


def _jpeg(file: File, kind: str, smallest: int) -> Read:
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
    file.complaint()
    end = jpeg.end(file.data)
    read = _opencv(file if end else _ended(file), "JPEG", flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if _is_damaged(file.complaint()):
        raise Unreadable("the JPEG data is damaged or cut short: a part of the picture is missing")
    stop = end or len(file.data)
    coded = jpeg.coded(file.data, stop) if scale > 1 else b""
    top = _top(file.data, full, len(read.stored))
    extra = jpeg.behind(file.data, stop) if kind == "JPEG" else b""  # behind a raw file's preview lies the rest of it
    return Read(read.stored, read.exif, full, top, coded, extra)


def _top(data: Array, full: tuple[int, int] | None, rows: int) -> Pixels | None:
    """The first rows in full, where the picture was reduced: that shows whether its pixels are worth their number."""
    if full is None or rows >= full[1]:
        return None
    short = coding.topmost(data, max(64, _TOP // full[0] // 16 * 16))
    return None if short is None else cv2.imdecode(short, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)


def _ended(file: File) -> File:
    """A file with an end marker: panoramas of phones have none, and the last byte is the first that gets lost."""
    return File(np.concatenate([file.data, np.array([0xFF, 0xD9], np.uint8)]), file.name, file.errors)


def _is_damaged(complaint: str) -> bool:
    """libjpeg tells of missing and of wrong data, and goes on with grey; some surplus bytes are harmless."""
    if "premature end" in complaint or "bad Huffman code" in complaint:
        return True
    surplus = re.search(r"(\d+) extraneous bytes", complaint)
    return surplus is not None and int(surplus[1]) > jpeg.STRAY


def _heif(file: File, _kind: str, _smallest: int) -> Read:
    try:
        import pillow_heif
    except ImportError as error:
        raise Unreadable("HEIC pictures need an extra: pip install 'imgindex[heif]'") from error
    pillow_heif.options.DECODE_THREADS = 1
    try:
        image = pillow_heif.open_heif(file.data.tobytes(), convert_hdr_to_8bit=True, bgr_mode=True)
        bits = int(image.info.get("bit_depth", 8))
        # Upright: libheif applies what the file says. Further pictures are not read.
        return Read(np.array(image), extra=b"" if len(image) == 1 else None, depth=bits if bits > 8 else 0)
    except (ValueError, RuntimeError, OSError, EOFError, SyntaxError, LookupError) as error:
        raise Unreadable("the HEIC data is damaged, cut short, or of a kind that libheif cannot read") from error


def _raw(file: File, camera: str, smallest: int) -> Read:
    depth = raw.bits(file.data.data)
    found = raw.preview(file.data.data, camera)
    if not found:
        try:
            stored, full = raw.develop(file.data.data)
        except raw.NoPictureError as reason:
            raise Unreadable(str(reason)) from reason
        return Read(stored, full=full, depth=depth)
    read = _jpeg(File(file.data[found.start :], file.name, file.errors), camera, smallest)
    full = read.full or (found.width, found.height)
    return replace(read, exif=read.exif or file.data[:_EXIF].data, full=full, depth=depth)


READERS: dict[formats.Reader, Callable[[File, str, int], Read]] = {
    "opencv": _plain,
    "jpeg": _jpeg,
    "heif": _heif,
    "raw": _raw,
}
