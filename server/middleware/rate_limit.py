"""How often one address may do something."""

import math
import time
from ipaddress import IPv6Address, ip_address

from flask import request
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter


class RateLimit:
    """A limit such as "10 per minute" for each address, counted in memory."""

    def __init__(self, limit: str) -> None:
        self._limit = parse(limit)
        self._counted = FixedWindowRateLimiter(MemoryStorage())

    def hit(self, address: str) -> int:
        """Count one; 0, or the seconds to wait if it is one too many."""
        return 0 if self._counted.hit(self._limit, address) else self._left(address)

    def wait(self, address: str) -> int:
        """The same, without counting."""
        return 0 if self._counted.test(self._limit, address) else self._left(address)

    def _left(self, address: str) -> int:
        left = math.ceil(self._counted.get_window_stats(self._limit, address).reset_time - time.time())
        if left > self._limit.get_expiry() + 1:  # the clock was ahead when the window began, and has been set right
            self._counted.clear(self._limit, address)
            return 0
        return max(1, left)


def client() -> str:
    """The client of this request, as `customer` has it."""
    return customer(request.remote_addr or "")


def customer(text: str) -> str:
    """Who has an address: its IPv4 form, or the /64 of an IPv6 address, all of which one customer has."""
    try:
        address = ip_address(text)
    except ValueError:
        return text
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> 64 << 64))


def is_loopback(text: str | None) -> bool:
    """Whether an address is of this machine."""
    try:
        return ip_address(text or "").is_loopback
    except ValueError:
        return False
