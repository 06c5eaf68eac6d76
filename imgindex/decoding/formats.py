"""Which format a picture file has, by its first bytes; its name and what a client says count for nothing."""

import re

HEAD = 64  # bytes that tell

_SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG",
    "GIF": rb"GIF8",
    "WebP": rb"RIFF....WEBP",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "BMP": rb"BM",
    "JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "AVIF": rb"....ftyp(....){0,12}?avi[fs]",  # not always the first brand
    "HEIC": rb"....ftyp(heic|heix|heim|heis|hevc|hevx|hevm|hevs|mif1|msf1)",
    "HDR": rb"#\?R",
    "PAM": rb"P7\s",
    "PNM": rb"P[1-6f]\s|PF\s",
}
_TYPES = {  # media type, extension
    "JPEG": ("image/jpeg", ".jpg"),
    "PNG": ("image/png", ".png"),
    "GIF": ("image/gif", ".gif"),
    "WebP": ("image/webp", ".webp"),
    "TIFF": ("image/tiff", ".tif"),
    "BMP": ("image/bmp", ".bmp"),
    "JPEG 2000": ("image/jp2", ".jp2"),
    "AVIF": ("image/avif", ".avif"),
    "HEIC": ("image/heic", ".heic"),
    "HDR": ("image/vnd.radiance", ".hdr"),
    "PAM": ("image/x-portable-anymap", ".pam"),
    "PNM": ("image/x-portable-anymap", ".pnm"),
}


def kind(head: bytes) -> str:
    """The format's name, "" for an unknown one."""
    return next((name for name, magic in _SIGNATURES.items() if re.match(magic, head, re.DOTALL)), "")


def media_type(head: bytes) -> str:
    """What a browser is told that a file is."""
    return _TYPES.get(kind(head), ("application/octet-stream", ""))[0]


def extension(head: bytes) -> str:
    """What a file's name should end in, with its dot; "" for an unknown format."""
    return _TYPES.get(kind(head), ("", ""))[1]
