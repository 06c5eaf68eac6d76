"""What a child answered, as what it must be: of one that a picture took over anything may come.

All that is kept of an answer is checked here, and what cannot be is a ValueError; nothing behind asks again.
"""

import json
import re
import struct
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from imgindex.decoding.child import Reply
from imgindex.decoding.protocol import DIGEST, FACTS
from imgindex.facts import Facts, from_json
from imgindex.records import Decoded

if TYPE_CHECKING:
    from imgindex.comparison.second_look import Box, Relation

_LONGEST = 1 << 20  # pixels of a side, as OpenCV has it; no reader gives more
_MOST = 1 << 30  # pixels, as OpenCV and libheif have it
_BITS = 64  # a channel, of a number of double precision
_MEASURE = 100_000.0  # more than any detail, noise or difference that is measured
_OCTAVES = 64.0
_COORDINATE = 1e9  # of a map between 0 and 1; a picture in another of a billion times its side is none
_FLAT = 1e-12  # of a map's determinant, and of what it divides by: below, nothing is left of the picture
_ROUNDING = 1e-6
_ALL = 1 + _ROUNDING
# What a number of the facts may be; others are words, or yes or no.
_FACTS = {
    "frames": (1, 1 << 31),
    "bits": (1, _BITS),
    "quality": (1, 100),
    "detail": (0, _MEASURE),
    "noise": (0, _MEASURE),
    "latitude": (-90, 90),
    "longitude": (-180, 180),
    "rating": (-1, 5),
}
_RELATION = {
    "share_a": (-_ROUNDING, _ALL),
    "share_b": (-_ROUNDING, _ALL),
    "place_ab": (0, _ALL),
    "place_ba": (0, _ALL),
    "finer": (-_OCTAVES, _OCTAVES),
    "noisier": (-_MEASURE, _MEASURE),
    "light": (0, 255),
}
_FORMAT = re.compile("[a-z0-9]{0,16}")


def decoded(reply: Reply, size: int) -> Decoded:
    """What a worker answered for a picture."""
    if not (0 < reply.width <= _LONGEST and 0 < reply.height <= _LONGEST and reply.width * reply.height <= _MOST):
        raise ValueError("no size")
    end = size**2 * 3
    start = end + DIGEST + FACTS.size
    try:
        (length,) = FACTS.unpack_from(reply.body, end + DIGEST)
        facts = from_json(bytes(reply.body[start : start + length]))
    except (struct.error, TypeError) as error:  # TypeError: a format that is none
        raise ValueError("no facts") from error
    if facts is None:
        raise ValueError("no facts")
    _check_facts(facts)
    pixels = np.frombuffer(reply.body, np.uint8, end).reshape(size, size, 3)
    digest, description = bytes(reply.body[end : end + DIGEST]), bytes(reply.body[start + length :])
    return Decoded(pixels, reply.width, reply.height, digest, description, facts)


def _check_facts(facts: Facts) -> None:
    held = vars(facts)
    for name, (least, most) in _FACTS.items():
        if held[name] is not None:
            _number(held[name], least, most)
    for text in held.values():
        if isinstance(text, str):
            text.encode()  # half a pair of UTF-16 has no bytes, and no database takes it
    if not _FORMAT.fullmatch(facts.format):
        raise ValueError("no format")
    if facts.captured is not None:
        datetime.fromisoformat(facts.captured)


def relation(told: bytes | bytearray) -> "Relation":
    """What a worker answered for a look at two."""
    from imgindex.comparison.second_look import Kind, Relation

    try:
        held = json.loads(told)
        _names(held, Relation)
        if held["kind"] not in get_args(Kind):
            raise ValueError("no kind")
        if isinstance(held["stretched"], bool) or held["stretched"] not in (-1, 0, 1):
            raise ValueError("no direction")
        numbers = {name: _number(held[name], *limits) for name, limits in _RELATION.items()}
        where = tuple(_box(box) for box in held["where"])
        return Relation(
            kind=held["kind"],
            transform=_map(held["transform"]),
            where=where,
            stretched=int(held["stretched"]),
            **numbers,
        )
    except (LookupError, TypeError, RecursionError) as error:
        raise ValueError("no relation") from error


def _box(told: Any) -> "Box":
    from imgindex.comparison.second_look import Box

    return Box(**{name: _number(told[name], 0, 1) for name in _names(told, Box)})


def _names(told: Any, kind: type["Box | Relation"]) -> list[str]:
    names = [field.name for field in fields(kind)]
    if not isinstance(told, dict) or sorted(told) != sorted(names):
        raise ValueError("other values")
    return names


def _map(told: Sequence[Any]) -> tuple[float, ...]:
    values = tuple(_number(value, -_COORDINATE, _COORDINATE) for value in told)
    if len(values) != 9:
        raise ValueError("no map")
    middle = values[6] / 2 + values[7] / 2 + values[8]
    if abs(middle) < _FLAT or not abs(float(np.linalg.det(np.reshape(values, (3, 3))))) >= _FLAT:
        raise ValueError("no map")
    return values


def _number(value: Any, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError("no number")  # nor one that is not finite
    return float(value)
