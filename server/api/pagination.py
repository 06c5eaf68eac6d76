"""Where a page of a list ended, as an opaque text that a client sends back for the next page."""

import base64
import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from imgindex import LARGEST_ID, UsageError

T = TypeVar("T")

LONGEST = 120  # characters: the longest name of a list and two of the largest numbers, in Base64


def encode(of: str, *keys: int) -> str:
    """A cursor into the list `of`."""
    text = json.dumps([of, *keys], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str, of: str, count: int) -> tuple[int, ...]:
    """The `count` keys of a cursor into the list `of`. Raises UsageError for one of another list."""
    try:
        if len(cursor) <= LONGEST:
            padded = cursor + "=" * (-len(cursor) % 4)
            name, *keys = json.loads(base64.b64decode(padded.encode("ascii"), b"-_", validate=True))
            whole = all(type(key) is int and 0 <= key <= LARGEST_ID for key in keys)
            if whole and len(keys) == count and cursor == encode(of, *keys) and name == of:
                return tuple(keys)
    except (ValueError, TypeError, RecursionError):
        pass
    raise UsageError("This cursor does not belong to this list; omit it to start from the beginning.")


def page(
    items: Sequence[T], of: str, cursor: str | None, limit: int, key: Callable[[T], int]
) -> tuple[Sequence[T], str | None]:
    """At most `limit` items behind the cursor, and the cursor of the next page, None at the end.

    It holds place and key of the last item, so that a list which changed meanwhile goes on where that item is now.
    """
    start = 0
    if cursor is not None:
        place, last = decode(cursor, of, 2)
        if place < len(items) and key(items[place]) == last:
            start = place + 1
        else:  # if it is gone, what follows has moved up to its place
            start = next((at + 1 for at, item in enumerate(items) if key(item) == last), place)
    shown = items[start : start + limit]
    end = start + len(shown)
    return shown, encode(of, end - 1, key(shown[-1])) if shown and end < len(items) else None
