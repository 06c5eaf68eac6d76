"""What a file holds, beyond that it shows a picture: what the choice of the file that stays is made by.

Made by `inspection.facts_of` in the decoder child when a file is read, and stored as JSON.
"""

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

_VERSION = 1  # of the JSON; another one is read as far as its names are known
_LONGEST = 128  # characters of a stored text


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a camera or a program wrote, as clean values; None: not there, or not to be believed."""

    captured: str | None = None  # ISO 8601, with sub-seconds and offset where known
    camera: str | None = None
    serial: str | None = None
    unique: str | None = None  # "exif:", "original:", "document:", "instance:" or "burst:", and the id
    latitude: float | None = None
    longitude: float | None = None
    rating: int | None = None  # -1 (rejected) to 5
    software: str | None = None
    unread: bool = False  # there is metadata that cannot be read


@dataclass(frozen=True)
class Facts(Metadata):
    """What one content holds. Only facts of one picture's versions compare: `detail` of two scenes says nothing."""

    format: str  # "jpeg", "png", "dng", ...
    frames: int = 1  # of an animation, or pages of a TIFF
    extra: bool = False  # a film or further pictures lie in the file, too
    bits: int = 8  # a channel, as used
    alpha: bool = False  # something is really seen through
    colour: bool = True  # there is colour; a grey picture stored as RGB has none
    raw: bool = False  # raw sensor data
    quality: int | None = None  # 1 to 100; None: lossless or unknown
    subsampling: str | None = None  # "4:2:0", ...
    detail: float = 0.0  # effective megapixels
    noise: float = 0.0  # sigma, grey values

    def to_json(self) -> str:
        """Compact; what is as usual is left out."""
        usual = {field.name: field.default for field in fields(self)}
        held = {name: value for name, value in asdict(self).items() if value != usual[name]}
        return json.dumps({"v": _VERSION, **held}, separators=(",", ":"), ensure_ascii=False)


def from_json(text: str | bytes | None) -> Facts | None:
    """Stored facts; None where nothing is stored or no JSON object. A value of the wrong kind is as if left out."""
    try:
        held = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    if not isinstance(held, dict) or not isinstance(held.get("format"), str):
        return None
    known = {field.name: str(field.type) for field in fields(Facts)}
    return Facts(**{name: held[name] for name in known if name in held and _fits(held[name], known[name])})


def _fits(value: Any, kind: str) -> bool:
    if value is None:
        return "None" in kind
    if isinstance(value, bool):
        return "bool" in kind
    if isinstance(value, int):
        return "float" in kind or ("int" in kind and abs(value) < 1 << 31)
    if isinstance(value, float):
        return "float" in kind and math.isfinite(value)
    return isinstance(value, str) and "str" in kind and len(value) <= _LONGEST
