"""A large file from the web, whole or not at all."""

import hashlib
import http.client
import os
import queue
import shutil
import threading
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

CONNECT_SECONDS = 20.0
STALL_SECONDS = 30.0


def fetch(url: str, path: Path, *, md5: str, size: int) -> None:
    """Download to `path`, which appears only whole and with this md5, with a progress bar on stderr.

    `size`: bytes, for a host that does not tell. Raises OSError, http.client.HTTPException.
    """
    from rich.console import Console
    from rich.progress import wrap_file

    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _open(url) as answer, part.open("wb") as file:
            total = int(answer.headers.get("Content-Length") or size)
            console = Console(stderr=True)
            with wrap_file(cast(BinaryIO, answer), total, description=path.name, console=console) as body:
                shutil.copyfileobj(body, file, 2**20)
        if (found := md5_of(part)) != md5:
            raise OSError(f"what came has the md5 {found} instead of {md5}")
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def md5_of(path: Path) -> str:
    """A file's md5 in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _open(url: str) -> http.client.HTTPResponse:
    """Open in a thread: urllib's timeout holds for each address of a host, which adds up to minutes."""
    answers: queue.SimpleQueue[http.client.HTTPResponse | Exception] = queue.SimpleQueue()

    def attempt() -> None:
        try:
            answers.put(urllib.request.urlopen(url, timeout=STALL_SECONDS))
        except (OSError, http.client.HTTPException) as error:
            answers.put(error)

    threading.Thread(target=attempt, daemon=True).start()
    try:
        answer = answers.get(timeout=CONNECT_SECONDS)
    except queue.Empty:
        raise TimeoutError(f"no answer within {CONNECT_SECONDS:g} seconds") from None
    if isinstance(answer, Exception):
        raise answer
    return answer
