"""The metadata that a person would miss, were it gone."""

from datetime import datetime

from imgindex.facts import Facts

_NEAR = 1e-4  # degrees, about 10 metres: what rounding in another format leaves


def missed(x: Facts, y: Facts) -> tuple[str, ...]:
    """What x tells and y does not, or tells otherwise, in words."""
    lost = {
        "capture time": x.captured is not None and not _tells(y.captured, x.captured),
        "place": place(x) is not None and not _at(place(y), place(x)),
        "camera": not _says(y.camera, x.camera) or not _says(y.serial, x.serial),
        "rating": bool(x.rating) and x.rating != y.rating,
        "metadata": x.unread,  # only the same bytes are known to have it
        "unique id": _of_shot(x.unique) is not None and _of_shot(y.unique) not in (None, _of_shot(x.unique)),
    }
    return tuple(name for name, gone in lost.items() if gone)


def told(facts: Facts) -> int:
    """How much it tells that a person would miss."""
    return sum((bool(facts.captured), place(facts) is not None, bool(facts.camera), bool(facts.rating)))


def place(facts: Facts) -> tuple[float, float] | None:
    """Latitude and longitude, where both are known."""
    both = facts.latitude, facts.longitude
    return None if both[0] is None or both[1] is None else (both[0], both[1])


def _of_shot(unique: str | None) -> str | None:
    """An id that a camera gave; programs give one to each file that they write, which nobody misses."""
    return None if unique is None or unique.startswith(("document:", "instance:")) else unique


def _says(one: str | None, other: str | None) -> bool:
    return not other or (one or "").strip() == other.strip()


def _at(one: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    return one is not None and other is not None and all(abs(a - b) <= _NEAR for a, b in zip(one, other, strict=True))


def _tells(one: str | None, other: str) -> bool:
    """Whether one time says all that the other says: the same on the clock, as finely, and in the same zone."""
    if one is None:
        return False
    try:
        y, x = datetime.fromisoformat(one), datetime.fromisoformat(other)
    except ValueError:
        return one == other
    if x.tzinfo is not None and x.utcoffset() != y.utcoffset():
        return False
    fine = x.microsecond in (0, y.microsecond)
    return fine and x.replace(tzinfo=None, microsecond=0) == y.replace(tzinfo=None, microsecond=0)
