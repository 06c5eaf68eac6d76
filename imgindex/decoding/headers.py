"""What the head of a picture file says that OpenCV does not hand out: how it is turned, its size, its white."""

import re
import struct
from typing import Any

import numpy as np

from imgindex.types import Array

Turn = tuple[int, int | None]  # how often to turn left, and which axis to mirror then

UPRIGHT: Turn = (0, None)
_HEAD = 65_536  # bytes in which a box or a marker is looked for; writers put them before the pixels

# For the values of EXIF's orientation.
_TURNS: dict[int, Turn] = {
    2: (0, 1),
    3: (2, None),
    4: (0, 0),
    5: (1, 0),
    6: (3, None),
    7: (1, 1),
    8: (1, None),
}


def turn_of(exif: bytes | memoryview) -> Turn:
    """How to turn a picture with this EXIF; UPRIGHT where it says nothing."""
    return _TURNS.get(orientation(exif), UPRIGHT)


def orientation(exif: bytes | memoryview) -> int:
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


def avif_turn(data: Array) -> Turn | None:
    """The boxes irot and imir, which OpenCV ignores; None without them."""
    head = data[:_HEAD].tobytes()
    turn = re.search(rb"\0\0\0\x09irot(.)", head, re.DOTALL)
    mirror = re.search(rb"\0\0\0\x09imir(.)", head, re.DOTALL)
    if not turn and not mirror:
        return None
    return (turn[1][0] & 3 if turn else 0, mirror[1][0] & 1 if mirror else None)


def png_exif(data: Array) -> bytes:
    """The EXIF of a PNG, of which OpenCV reads it only with a copy of the pixels; b"" without one."""
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data.data, at)
        if kind == b"eXIf":
            return data[at + 8 : at + 8 + length].tobytes()
        at += 12 + length
    return b""


def jpeg_size(data: Array) -> tuple[int, int] | None:
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


def pam_depth(data: Array) -> int:
    """Channels of a PAM; 0 where it does not say."""
    found = re.search(rb"\nDEPTH\s+(\d{1,3})\s", data[:_HEAD].tobytes())
    return int(found[1]) if found else 0


def white(data: Array, kind: str, dtype: np.dtype[Any]) -> float:
    """The stored value of white in pixels of this type; 0: unknown, the values decide; 65535: at most that."""
    if dtype == np.uint8:
        return 255
    if dtype != np.uint16:
        return 0
    # OpenCV hands these out as stored, in the low bits of 16.
    head = data[:_HEAD].tobytes()
    if kind == "AVIF" and (found := re.search(rb"av1C\x81.(.)", head, re.DOTALL)):
        return 4095 if found[1][0] & 0x20 else 1023
    if kind == "JPEG 2000" and (found := re.search(rb"\xff\x4f\xff\x51.{38}(.)", head, re.DOTALL)):
        return 2.0 ** ((found[1][0] & 0x7F) + 1) - 1
    if kind == "PNM" and (found := re.match(rb"P[2356](?:\s+(?:#[^\n]*\n\s*)*(\d+)){3}", head)):
        return int(found[1])
    return 65535
