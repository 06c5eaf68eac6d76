"""What a server is told when it starts."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from imgindex import Embedder, UsageError

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Settings:
    """Everything that may be set; `from_mapping` takes the same names in capitals."""

    index: Path
    model: str | None = None
    weights: Path | None = None
    embedder: Embedder | None = None  # in place of the two above
    host: str = "127.0.0.1"
    port: int = 8787
    hosts: tuple[str, ...] = ()  # names by which clients may call it, beside its own
    proxy: bool = False  # whether a proxy on this machine stands before it, and says who asks and how
    token: str | None = None  # one that may read and write
    tokens: Path | None = None  # a file of hashed ones
    body: int = 128_000_000  # bytes of a request, at most
    files: int = 64  # files of an upload, at most
    recluster: str = "7d"  # interval or cron expression, as `due` takes them
    report: str = "1d"
    sync: str | None = None  # None: the added folders are not walked by the server

    @classmethod
    def from_mapping(cls, config: Mapping[str, Any]) -> "Settings":
        """Raises UsageError for an unknown name, or no index."""
        known = {field.name.upper() for field in fields(cls)}
        if unknown := sorted(set(config) - known):
            raise UsageError(f"{unknown[0]} is no setting of the server; it knows {', '.join(sorted(known))}.")
        if "INDEX" not in config:
            raise UsageError("The server needs INDEX, the folder of an index.")
        return cls(**{name.lower(): value for name, value in config.items()})
