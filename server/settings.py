"""The settings of a server, and their defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from imgindex import EVERY_DAY, EVERY_WEEK, Embedder, UsageError

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Settings:
    """Everything that can be set; `from_mapping` takes the same names in capitals."""

    index: Path
    model: str | None = None
    weights: Path | None = None
    embedder: Embedder | None = None  # in place of the two above
    host: str = "127.0.0.1"
    port: int = 8787  # free on most machines, and easy to remember
    hosts: tuple[str, ...] = ()  # names by which clients may call it, besides its own
    proxy: bool = False  # whether a proxy on this machine forwards requests and sets X-Forwarded-For and -Proto
    token: str | None = None  # may read and write
    tokens: Path | None = None  # a file of hashed tokens
    body: int = 128_000_000  # bytes of a request, at most: a dozen photos of a good camera; memory holds four
    files: int = 64  # of an upload, at most: two batches of the model
    recluster: str = EVERY_WEEK  # interval or cron expression, as `is_due` takes them
    report: str = EVERY_DAY
    sync: str | None = None  # None: the added folders are not walked by the server

    @classmethod
    def from_mapping(cls, config: Mapping[str, Any]) -> "Settings":
        """Raises UsageError for an unknown name, or without an index."""
        known = {field.name.upper() for field in fields(cls)}
        if unknown := sorted(set(config) - known):
            raise UsageError(f"{unknown[0]} is not a server setting; there are {', '.join(sorted(known))}.")
        if "INDEX" not in config:
            raise UsageError("INDEX is missing; set it to the folder of the index.")
        return cls(**{name.lower(): value for name, value in config.items()})
