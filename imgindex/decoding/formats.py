"""The formats of picture files, a row for each: a new one is a row here, and its reader in `reading.READERS`.

A file's format is told by its first bytes; its name and what a client says count for nothing.
"""

import os
import re
from dataclasses import dataclass
from typing import Literal

HEAD = 64  # bytes that tell

Reader = Literal["opencv", "jpeg", "heif", "raw"]

_OPENCV = ("opencv-python-headless", "opencv-python")  # either may be installed
_RAW = (*_OPENCV, "rawpy")


@dataclass(frozen=True)
class Format:
    """What is known of a format before a file of it is read."""

    name: str
    magic: bytes  # regular expression of how a file begins
    media_type: str
    extension: str  # with its dot
    reader: Reader = "opencv"  # one of `reading.READERS`, which a worker calls
    distributions: tuple[str, ...] = _OPENCV  # packages that read it: with another version a file may become readable


UNKNOWN = Format("", b"", "application/octet-stream", "")  # OpenCV may read it nevertheless

FORMATS = (  # a file has the first that fits
    Format("JPEG", rb"\xff\xd8\xff", "image/jpeg", ".jpg", reader="jpeg"),
    Format("PNG", rb"\x89PNG", "image/png", ".png"),
    Format("GIF", rb"GIF8", "image/gif", ".gif"),
    Format("WebP", rb"RIFF....WEBP", "image/webp", ".webp"),
    # Raw files of makers that mark them; those of others begin as a TIFF does, and `raw.kind_of` tells them.
    Format("CR2", rb"II\*\0....CR", "image/x-canon-cr2", ".cr2", reader="raw", distributions=_RAW),
    Format("CR3", rb"....ftypcrx ", "image/x-canon-cr3", ".cr3", reader="raw", distributions=_RAW),
    Format("ORF", rb"IIR[OS]|MMOR", "image/x-olympus-orf", ".orf", reader="raw", distributions=_RAW),
    Format("RAF", rb"FUJIFILMCCD-RAW", "image/x-fuji-raf", ".raf", reader="raw", distributions=_RAW),
    Format("RW2", rb"IIU\0", "image/x-panasonic-rw2", ".rw2", reader="raw", distributions=_RAW),
    Format("TIFF", rb"II[*+]\0|MM\0[*+]", "image/tiff", ".tif"),
    Format("BMP", rb"BM", "image/bmp", ".bmp"),
    Format("JPEG 2000", rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "image/jp2", ".jp2"),
    Format("AVIF", rb"....ftyp(....){0,12}?avi[fs]", "image/avif", ".avif"),  # not always the first brand
    Format(
        "HEIC",
        rb"....ftyp(heic|heix|heim|heis|hevc|hevx|hevm|hevs|mif1|msf1)",
        "image/heic",
        ".heic",
        reader="heif",
        distributions=("pillow-heif",),
    ),
    Format("HDR", rb"#\?R", "image/vnd.radiance", ".hdr"),
    Format("PAM", rb"P7\s", "image/x-portable-anymap", ".pam"),
    Format("PNM", rb"P[1-6f]\s|PF\s", "image/x-portable-anymap", ".pnm"),
)


def format_of(head: bytes) -> Format:
    """The format of a file by its first HEAD bytes; UNKNOWN for one that is not listed."""
    return next((row for row in FORMATS if re.match(row.magic, head, re.DOTALL)), UNKNOWN)


# Names of pictures: what is broken in such a file, or cannot be read here, a person wants to know. What is named
# otherwise and begins as no format of the table is no picture.
_SUFFIXES = re.compile(
    r"jpe?g|jpe|jfif?|jps|mpo|a?png|gif|webp|tiff?|bmp|dib|jp2|j2[kc]|jp[fxm]|avifs?|hei[cf]s?|hif|hdr|pic|p[abgnpf]m|"
    r"ras|sr|exr|jxl|jxr|wdp|ico|cur|icns|ps[db]|xcf|tga|dds|pcx|svg|"
    r"dng|cr[23w]|nef|nrw|arw|sr[f2w]|orf|rw[2l]|raf|pef|raw|3fr|fff|erf|kdc|dcr|k25|mos|m[re][wf]|x3f|iiq|cap|gpr"
)


def is_named_as_picture(path: str) -> bool:
    """Whether a file's name says that it is a picture."""
    return bool(_SUFFIXES.fullmatch(os.path.splitext(path)[1][1:].lower()))


def kind(head: bytes) -> str:
    """The format's name, "" for an unknown one."""
    return format_of(head).name


def media_type(head: bytes) -> str:
    """What a browser is told that a file is."""
    return format_of(head).media_type


def extension(head: bytes) -> str:
    """What a file's name should end in, with its dot; "" for an unknown format."""
    return format_of(head).extension
