"""How much of a server one client may have, and who makes room when it is too much."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol

CONNECTIONS = 200  # open at once: each browser keeps six, so thirty people; waitress allows 100 by default
PER_CLIENT = 64  # of them from one address: ten browsers of a household, and three such addresses leave room
QUEUED = 128  # requests without a body of one client behind a proxy: what nginx lets a browser ask at once (HTTP/2)
BODIES = 256_000_000  # bytes of bodies of one client: half of what is worked on at once, so that another gets in
ANSWERS = 64_000_000  # bytes of answers of one client that wait to be read, beside files, which wait where they are
QUIET = 0.5  # seconds without a byte from when on a body may make room: a busy one is never so long silent
UNREAD = 10  # the same of an answer: who reads 100 KB/s leaves the sender silent for a second at a time

State = Literal["waiting", "taking", "working", "giving"]


class Member(Protocol):
    """One connection."""

    client: str | None  # None: a proxy's, and not used by anybody yet
    will_close: bool

    @property
    def state(self) -> State:
        """Waiting for a head, taking a body, at work, or giving an answer."""

    @property
    def since(self) -> float:
        """Since when it waits or is silent, by time.monotonic."""

    @property
    def held(self) -> int:
        """Bytes of bodies."""

    @property
    def spooled(self) -> int:
        """Bytes of answers."""


class Crowd:
    """All connections of a server. Who waits for longest makes room, so nobody is shut out by those that only wait."""

    def __init__(self, members: Callable[[], Iterable[Member]]) -> None:
        self._members = members

    def room(self, client: str | None) -> bool:
        """Whether one more connection may come; None: through a proxy, and nobody knows yet from whom."""
        everyone = self._open()
        own = [one for one in everyone if client is not None and one.client == client]
        if len(own) >= PER_CLIENT and not _make_room(own):
            return False
        return len(everyone) < CONNECTIONS or _make_room(_largest(everyone)) or _make_room(everyone)

    def room_for_request(self, member: Member, *, body: bool) -> bool:
        """Whether a client behind a proxy may have one more request under way."""
        own = [one for one in self._of(member) if one is not member and one.state != "waiting"]
        if not body and len(own) < QUEUED:  # those that only queue are soon over
            own = [one for one in own if one.held or one.state != "working"]
        return len(own) < PER_CLIENT or _make_room(own)

    def room_for_body(self, member: Member) -> bool:
        """Whether the bodies of a client are not too much; one alone may have any size."""
        held = [one.held for one in self._of(member)]
        return sum(held) <= BODIES or sum(held) == member.held

    def trim(self) -> None:
        """End answers that nobody reads, where one client has too much of them."""
        spooled: Counter[str | None] = Counter()
        for one in (everyone := self._open()):
            spooled[one.client] += one.spooled
        for client in [client for client, size in spooled.items() if size > ANSWERS]:
            own = [one for one in everyone if one.client == client and one.state == "giving" and one.spooled]
            while _too_much([one for one in own if not one.will_close]) and _make_room(own):
                pass  # one less

    def _open(self) -> list[Member]:
        return [one for one in self._members() if not one.will_close]

    def _of(self, member: Member) -> list[Member]:
        return [one for one in self._open() if one.client == member.client]


def _too_much(giving: Sequence[Member]) -> bool:
    """Whether the answers of one client are too much; one alone may have any size."""
    return len(giving) > 1 and sum(one.spooled for one in giving) > ANSWERS


def _make_room(members: Sequence[Member]) -> bool:
    """End the one that waits for longest, else the one that is silent for longest; False if all are busy."""
    there = [one for one in members if not one.will_close]
    silent = {"taking": time.monotonic() - QUIET, "giving": time.monotonic() - UNREAD}
    found = [one for one in there if one.state == "waiting"] or [
        one for one in there if (bound := silent.get(one.state)) is not None and one.since <= bound
    ]
    if not found:
        return False
    min(found, key=lambda one: one.since).will_close = True
    return True


def _largest(members: Sequence[Member]) -> list[Member]:
    """Those of the client that has most."""
    ((client, _),) = Counter(one.client for one in members).most_common(1)
    return [one for one in members if one.client == client]
