"""Hostile files of the measuring data."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def hostile() -> Iterator[tuple[str, bytes]]:
    """The name and content of each file of the archive."""
    with tarfile.open(DATA / "hostile.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file:
                yield member.name, file.read()
