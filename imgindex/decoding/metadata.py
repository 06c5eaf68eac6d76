"""What a camera or a program wrote beside the pixels: time, place, camera, ids; as clean values.

Metadata lies: what cannot be true is None, and no text is long.
"""

import math
import re
import struct
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from imgindex.decoding import exif, xmp
from imgindex.facts import Metadata

_NOTE = 262_144  # bytes of a block that are searched for a maker's note
_TEXT = 64  # characters of a text that is kept
_FIRST_YEAR = 1905  # 1904 is where QuickTime's clock starts; older scans say what they like
_RESETS = ("1970-01-01T00:00:00", "1980-01-01T00:00:00", "2000-01-01T00:00:00")  # clocks that were never set

_XAP = "http://ns.adobe.com/xap/1.0/"
_EXIF = "http://ns.adobe.com/exif/1.0/"
_TIFF = "http://ns.adobe.com/tiff/1.0/"
_CAMERA = "http://ns.google.com/photos/1.0/camera/"
_APPLE = b"Apple iOS\0\0\x01MM"


def metadata_of(data: bytes | memoryview, kind: str) -> Metadata:
    """The metadata of a file of a format, as `formats.kind` names it; raises nothing but MemoryError."""
    block, packet = exif.blocks(data, kind)
    unread, tags = False, dict[str, Any]()
    try:
        tags = exif.canon(data) if bytes(data[4:12]) == b"ftypcrx " else exif.tags(block)
    except exif.UnreadError:
        unread = True
    xml = xmp.properties(packet)
    latitude, longitude = _place(tags, xml)
    return Metadata(
        captured=_captured(tags, xml),
        camera=_camera(tags, xml),
        serial=_serial(tags, xml),
        unique=_unique(tags, xml, block),
        latitude=latitude,
        longitude=longitude,
        rating=_rating(tags, xml),
        software=_text(tags, "Image Software") or clean(xml.get(_XAP + "CreatorTool")),
        unread=unread,
    )


def clean(value: object, limit: int = _TEXT) -> str | None:
    """A text without control characters and surplus spaces, at most `limit` characters; None without any."""
    if isinstance(value, bytes):
        value = value[: 4 * limit].decode(errors="replace")
    if not isinstance(value, str):
        return None
    words = "".join(c if c.isprintable() else " " for c in value[: 4 * limit]).split()
    return " ".join(words)[:limit].strip() or None


def moment(text: str | None, *, subseconds: str | None = None, offset: str | None = None) -> str | None:
    """EXIF's or XMP's time as ISO 8601; None for one that cannot be."""
    found = re.match(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d)(?::(\d\d)(\.\d{1,9})?)?(.*)", text or "")
    if not found:
        return None
    *numbers, fraction, rest = found.groups()
    year, month, day, hour, minute, second = (int(number or 0) for number in numbers)
    if not fraction and subseconds and (digits := re.fullmatch(r"(\d{1,9})\s*", subseconds)):
        fraction = "." + digits[1]
    zone = re.fullmatch(r"\s*(Z|[+-]\d\d:\d\d)\s*", offset or rest or "")
    if zone and zone[1] != "Z" and not (zone[1][1:3] <= "14" and zone[1][4:] < "60"):
        zone = None
    try:
        when = datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    stamp = when.isoformat()
    tomorrow = datetime.fromtimestamp(time.time() + 2 * 86_400)
    if when.year < _FIRST_YEAR or when > tomorrow or stamp in _RESETS:
        return None
    return stamp + (fraction or "") + (zone[1] if zone else "")


def _text(tags: Mapping[str, Any], name: str) -> str | None:
    return clean(getattr(tags.get(name), "values", None))


def _numbers(tags: Mapping[str, Any], name: str) -> list[float]:
    values = getattr(tags.get(name), "values", None)
    try:
        return [float(value) for value in values] if isinstance(values, list) else []
    except (TypeError, ValueError, ArithmeticError):
        return []


def _captured(tags: Mapping[str, Any], xml: Mapping[str, str]) -> str | None:
    for kind in ("Original", "Digitized"):
        when = moment(
            _text(tags, f"EXIF DateTime{kind}"),
            subseconds=_text(tags, f"EXIF SubSecTime{kind}"),
            offset=_text(tags, f"EXIF OffsetTime{kind}"),
        )
        if when:
            return when
    names = (_EXIF + "DateTimeOriginal", "http://ns.adobe.com/photoshop/1.0/DateCreated", _EXIF + "DateTimeDigitized")
    return next((when for name in names if (when := moment(clean(xml.get(name))))), None)


def _camera(tags: Mapping[str, Any], xml: Mapping[str, str]) -> str | None:
    make = _text(tags, "Image Make") or clean(xml.get(_TIFF + "Make"))
    model = _text(tags, "Image Model") or clean(xml.get(_TIFF + "Model"))
    if make and model and not model.lower().startswith(make.lower().split()[0]):
        return clean(f"{make} {model}")
    return model or make


def _serial(tags: Mapping[str, Any], xml: Mapping[str, str]) -> str | None:
    names = ("EXIF BodySerialNumber", "Image BodySerialNumber", "Image Tag 0xC62F", "Image CameraSerialNumber")
    keys = ("http://ns.adobe.com/exif/1.0/aux/SerialNumber", "http://cipa.jp/exif/1.0/BodySerialNumber")
    return _id([*(_text(tags, name) for name in names), *(clean(xml.get(key)) for key in keys)])


def _id(values: list[str | None]) -> str | None:
    """The first that tells one from another: not only zeros or blanks, at least four characters."""
    return next((v for v in values if v and len(v) >= 4 and re.search(r"[1-9a-zA-Z]", v)), None)


def _unique(tags: Mapping[str, Any], xml: Mapping[str, str], block: bytes | memoryview) -> str | None:
    media = _XAP + "mm/"
    ways: tuple[tuple[str, Callable[[], str | None]], ...] = (
        ("exif", lambda: _text(tags, "EXIF ImageUniqueID")),
        ("original", lambda: clean(xml.get(media + "OriginalDocumentID"))),
        ("document", lambda: clean(xml.get(media + "DocumentID"))),
        ("instance", lambda: clean(xml.get(media + "InstanceID"))),
        ("burst", lambda: clean(xml.get(_CAMERA + "BurstID")) or _apple_burst(block)),
    )
    return next((f"{scheme}:{value}" for scheme, way in ways if (value := _id([way()])) and len(value) >= 8), None)


def _apple_burst(block: bytes | memoryview) -> str | None:
    """Tag 11 of Apple's note, which exifread does not know: the same in all pictures of a burst."""
    block = bytes(block[:_NOTE])
    start = block.find(_APPLE)
    if start < 0:
        return None
    try:
        (entries,) = struct.unpack_from(">H", block, start + 14)
        for at in range(start + 16, start + 16 + 12 * min(entries, 256), 12):
            tag, kind, count, place = struct.unpack_from(">HHII", block, at)
            if (tag, kind) == (11, 2) and 8 < count <= _TEXT:
                return clean(block[start + place : start + place + count])
    except struct.error:
        pass
    return None


def _place(tags: Mapping[str, Any], xml: Mapping[str, str]) -> tuple[float | None, float | None]:
    latitude = _degrees(tags, "Latitude", "S", 90)
    longitude = _degrees(tags, "Longitude", "W", 180)
    if latitude is None or longitude is None:
        latitude = _xmp_degrees(xml.get(_EXIF + "GPSLatitude"), 90)
        longitude = _xmp_degrees(xml.get(_EXIF + "GPSLongitude"), 180)
    if latitude is None or longitude is None or (latitude, longitude) == (0, 0):  # a receiver without a fix
        return None, None
    return latitude, longitude


def _degrees(tags: Mapping[str, Any], name: str, negative: str, most: float) -> float | None:
    parts = _numbers(tags, f"GPS GPS{name}")
    reference = _text(tags, f"GPS GPS{name}Ref")
    if not 1 <= len(parts) <= 3 or not reference:
        return None
    return _within(sum(part / 60**n for n, part in enumerate(parts)), reference.upper() == negative, most)


def _xmp_degrees(text: str | None, most: float) -> float | None:
    found = re.fullmatch(r"(\d{1,3})(?:,(\d{1,2}(?:\.\d{1,9})?))?(?:,(\d{1,2}(?:\.\d{1,9})?))?([NSEW])", text or "")
    if not found:
        return None
    degrees = sum(float(part or 0) / 60**n for n, part in enumerate(found.groups()[:3]))
    return _within(degrees, found[4] in "SW", most)


def _within(degrees: float, negative: bool, most: float) -> float | None:
    if not math.isfinite(degrees) or not 0 <= degrees <= most:
        return None
    return round(-degrees if negative else degrees, 6)


def _rating(tags: Mapping[str, Any], xml: Mapping[str, str]) -> int | None:
    numbers = _numbers(tags, "Image Rating")
    text = xml.get(_XAP + "Rating", "").strip()
    if re.fullmatch(r"-?\d(\.0)?", text):  # a program's own word counts before what a camera wrote
        numbers = [float(text)]
    return int(numbers[0]) if numbers and -1 <= numbers[0] <= 5 else None
