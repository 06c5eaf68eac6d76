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
        return max(1, math.ceil(self._counted.get_window_stats(self._limit, address).reset_time - time.time()))


def client() -> str:
    """The client: its IPv4 address, or the /64 of its IPv6 address, all of which one customer has."""
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:
        return str(request.remote_addr)
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> 64 << 64))
