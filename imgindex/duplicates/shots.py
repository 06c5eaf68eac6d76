"""Whether what cameras wrote says that two pictures are two shots, whatever the pixels say."""

from datetime import datetime

from imgindex.facts import Facts

APART = 0.5  # seconds between two shots, from which a camera's clock to the second tells them apart


def other_shot(one: Facts, other: Facts) -> bool:
    """Whether capture times, serial numbers or a camera's own ids say that these are two shots."""
    if one.serial and other.serial and one.serial != other.serial:
        return True
    mine, theirs = _camera_id(one.unique), _camera_id(other.unique)
    if mine and theirs and mine != theirs:
        return True
    return _apart(one.captured, other.captured)


def _camera_id(unique: str | None) -> str | None:
    """An id that the camera gave to the shot; programs give one to each file that they write."""
    return unique if unique and unique.startswith("exif:") else None


def _apart(one: str | None, other: str | None) -> bool:
    """Whether two capture times are of two moments; a time zone that only one tells is no difference."""
    if not one or not other:
        return False
    try:
        a, b = datetime.fromisoformat(one), datetime.fromisoformat(other)
    except ValueError:
        return False
    if (a.tzinfo is None) != (b.tzinfo is None):
        a, b = a.replace(tzinfo=None), b.replace(tzinfo=None)
    if 0 in (a.microsecond, b.microsecond):
        a, b = a.replace(microsecond=0), b.replace(microsecond=0)
    gap = abs((a - b).total_seconds())
    whole_hours = gap % 3600 == 0 and gap <= 14 * 3600  # the same moment on clocks of other zones
    return gap >= APART and not whole_hours
