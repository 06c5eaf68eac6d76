"""Background work: one run of the clustering at a time, watched by its id."""

import logging
import math
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock
from typing import Literal

from imgindex import BusyError, ImageIndex, ImgindexError, NotIndexedError

log = logging.getLogger("imgindex.server")

REMEMBERED = 100  # jobs: each is a line, and nobody asks for older ones
STOPPED = "The server was stopped."


@dataclass(frozen=True)
class Job:
    """A run of the clustering that was started here, as it is now."""

    id: str
    state: Literal["running", "done", "failed"]
    created: str  # ISO 8601, UTC
    done: int = 0  # candidates for k
    total: int = 0
    run: int | None = None  # once it is done
    reason: str | None = None  # why it failed


class _ClosingError(Exception):
    """The server is shutting down, and nobody waits for the result."""


class Jobs:
    """Starts runs in its own thread. Usable from several threads."""

    def __init__(self, index: ImageIndex) -> None:
        self._index = index
        self._jobs: dict[str, Job] = {}
        self._lock = Lock()
        self._thread = ThreadPoolExecutor(1, "imgindex-job")
        self._closing = False
        self._failed = -math.inf

    def close(self) -> None:
        """Stop the current job at its next step; the themes of the last run stay."""
        with self._lock:
            self._closing = True
        self._thread.shutdown()

    def start_recluster(self, clusters: int | None = None, *, why: str | None = None) -> Job:
        """Start a run. Raises BusyError while another runs here, UsageError for a number of clusters out of range."""
        self._index.themes.check_number(clusters)
        with self._lock:
            if self._closing:
                raise BusyError(STOPPED)
            last = next(reversed(self._jobs.values()), None)
            if last and last.state == "running":
                raise BusyError("Another run is in progress; wait for it to finish.")
            job = Job(secrets.token_hex(8), "running", datetime.now(UTC).isoformat(timespec="seconds"))
            self._jobs[job.id] = job
            for old in list(self._jobs)[:-REMEMBERED]:
                del self._jobs[old]
            self._thread.submit(self._run, job.id, clusters, why)
        return job

    def _run(self, job: str, clusters: int | None, why: str | None) -> None:
        try:
            run = self._index.themes.recluster(
                clusters, why=why, progress=lambda done, total: self._put(job, done, total)
            )
        except _ClosingError as error:
            self._fail(job, str(error))
        except ImgindexError as error:
            log.error("recluster: %s", error)
            self._fail(job, str(error))
        except Exception:
            log.exception("The run failed.")
            self._fail(job, "The run failed; the server's log says why.")
        else:
            self._failed = -math.inf
            self._jobs[job] = replace(self._jobs[job], state="done", run=run.id)

    def _fail(self, job: str, reason: str) -> None:
        self._failed = time.monotonic()
        self._jobs[job] = replace(self._jobs[job], state="failed", reason=reason)

    def _put(self, job: str, done: int, total: int) -> None:
        if self._closing:
            raise _ClosingError(STOPPED)
        self._jobs[job] = replace(self._jobs[job], done=done, total=total)

    def get(self, job: str) -> Job:
        """A job as it is now. Raises NotIndexedError."""
        try:
            return self._jobs[job]
        except KeyError:
            raise NotIndexedError(f"There is no job {job}; the server remembers its last {REMEMBERED}.") from None

    def since_failure(self) -> float:
        """Seconds since the last run failed; infinite if it did not."""
        return time.monotonic() - self._failed

    def last(self) -> Job | None:
        """The job that was started last."""
        with self._lock:
            return next(reversed(self._jobs.values()), None)
