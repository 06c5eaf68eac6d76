"""What the server does on a schedule: recluster, save a report, walk the added folders."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event, Thread

from imgindex import BusyError, ImgindexError, is_due
from imgindex.server.service import Service

log = logging.getLogger("imgindex.server")

LOOK = 60  # seconds between two checks: the precision of a cron expression
RETRY = 600  # seconds before a failed recluster is tried again: whatever was wrong may last a while
NEVER = "1970-01-01T00:00:00+00:00"  # long enough ago for any schedule


class _StoppedError(ImgindexError):
    """The server is shutting down, and nobody waits for the result."""


class Scheduler:
    """One thread checks every minute: sync and report run in it, one at a time, and a recluster as a job.

    It waits by the clock that only goes on, so that setting the other one back a year is not a year of waiting.
    """

    def __init__(self, service: Service, *, synced: Callable[[], None] = lambda: None) -> None:
        """`synced` is called when the added folders have been walked."""
        self._service = service
        self._tell = synced
        self._synced = datetime.now(UTC)
        self._closing = Event()
        for schedule in filter(None, (service.settings.recluster, service.settings.report, service.settings.sync)):
            is_due(schedule, datetime.now(UTC))  # raises UsageError now, not in an hour
        self._jobs = [_quietly(job) for job in (self.sync, self.report, self.recluster)]
        self._thread = Thread(target=self._look, name="imgindex-schedule", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop whatever is running at its next step."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _look(self) -> None:
        while not self._closing.wait(LOOK):
            for job in self._jobs:
                job()

    def recluster(self) -> None:
        """If the schedule or drift calls for it, but not right after a failure."""
        if self._service.jobs.since_failure() < RETRY:
            return
        if why := self._service.index.themes.due(self._service.settings.recluster):
            self._service.jobs.start_recluster(why=why)

    def report(self) -> None:
        """Save a report, which the next one and the plot compare with."""
        past = self._service.index.reports.history()
        last = datetime.fromisoformat(past[-1].created if past else NEVER)
        if self._service.index.counts().files and is_due(self._service.settings.report, last):
            self._service.index.reports.make()

    def sync(self) -> None:
        """Walk the added folders, and find duplicates of what is new."""
        schedule, now = self._service.settings.sync, datetime.now(UTC)
        if schedule and is_due(schedule, self._synced, now):
            self._synced = now
            added = self._service.index.sync(progress=self._go_on)
            self._service.index.duplicates.prove(progress=self._go_on)
            self._tell()
            log.info("sync: %d added, %d moved, %d failed", added.added, added.moved, len(added.failed))

    def _go_on(self, _done: int, _total: int) -> None:
        if self._closing.is_set():
            raise _StoppedError("The server is shutting down.")


def _quietly(job: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            job()
        except (BusyError, _StoppedError):
            pass  # another process is doing it, or it continues after the next start
        except ImgindexError as error:
            log.error("%s: %s", job.__name__, error)
        except Exception:  # the next look is due in a minute, whatever this one met
            log.exception("%s failed.", job.__name__)

    return run
