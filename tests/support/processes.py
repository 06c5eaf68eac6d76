"""Children that a test can kill, on disks that a test can fill."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SUPPORT = Path(__file__).parent


class Adders:
    """Starts jobs of a script, tests/support/adder.py."""

    SCRIPT = "adder.py"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._jobs = 0
        self._server = subprocess.Popen(
            [sys.executable, str(SUPPORT / self.SCRIPT)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip

    def close(self) -> None:
        self._server.communicate()

    def order(self, **order: Any) -> int:
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(order, default=str) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def start(self, job: str, **arguments: Any) -> "Job":
        self._jobs += 1
        return Job(self, self._folder / f"job{self._jobs}", job, arguments)

    def run(self, *arguments: Any, **options: Any) -> "Job":
        """A command line, run to its end."""
        job = self.start("command", arguments=list(map(str, arguments)), **options)
        job.wait()
        return job


class Job:
    """A child at work: what it said so far, and how it ended."""

    def __init__(self, adders: Adders, stem: Path, job: str, arguments: dict[str, Any]) -> None:
        out, self._err = stem.with_suffix(".out"), stem.with_suffix(".err")
        os.mkfifo(out)
        self._adders = adders
        self._pipe = os.open(out, os.O_RDONLY | os.O_NONBLOCK)
        self._text = b""
        self.pid = adders.order(job=job, out=out, err=self._err, **arguments)

    @property
    def lines(self) -> list[str]:
        return os.fsdecode(self._text).splitlines()

    @property
    def errors(self) -> str:
        return self._err.read_text()

    def told(self, word: str) -> list[str]:
        return [line.removeprefix(word + " ") for line in self.lines if line.split(" ", 1)[0] == word]

    def listen(self, until: Callable[[], bool] = lambda: False, seconds: float = 120.0) -> bool:
        """Read what the child says; False when it ended, or the time is over, before `until`."""
        poll, end = select.poll(), time.monotonic() + seconds
        poll.register(self._pipe, select.POLLIN)
        while not until():
            events = poll.poll(max(0, end - time.monotonic()) * 1000)
            if not events:
                return False
            if events[0][1] & select.POLLIN:
                self._text += os.read(self._pipe, 1 << 16)
            else:
                return False
        return True

    def wait(self) -> int:
        self.listen()
        self.code = self._adders.order(wait=self.pid)
        os.close(self._pipe)
        return self.code


def fill(disk: Path, leave: int) -> Path:
    """Fill a disk but for some bytes; returns the file to delete."""
    filler = disk / "filler"
    status = os.statvfs(disk)
    filler.write_bytes(bytes(max(0, status.f_bavail * status.f_bsize - leave)))
    return filler
