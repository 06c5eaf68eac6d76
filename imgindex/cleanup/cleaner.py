"""Putting redundant files away, so that the last copy of a picture never goes and all of it can be brought back."""

import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader

from imgindex import files
from imgindex.cleanup import moves
from imgindex.cleanup.journal import Ended, Entry, Journal
from imgindex.cleanup.plan import Cleaned, How, Plan, Skipped, Step, Undone, plan
from imgindex.duplicates.records import Duplicates
from imgindex.errors import BusyError, UsageError
from imgindex.records import File
from imgindex.storage.storage import Storage
from imgindex.types import AnyPath, Progress


class Cleanup:
    """`index.cleanup`: plans, carries them out, and takes them back.

    A kill at any moment loses nothing; the next call of `apply`, `recover` or `undo` settles what it left. These
    raise BusyError while another process is in one with this index, and as `Database` does.
    """

    def __init__(
        self, store: Storage, *, find: Callable[[Sequence[str]], Duplicates], follow: Callable[[], None]
    ) -> None:
        """`find` gives the groups for an order of keeping; `follow` brings up to date what is derived from images."""
        self._store = store
        self._journal = Journal(store.database)
        self._find = find
        self._follow = follow

    def plan(self, how: How = "trash", *, keep: Sequence[str] = ()) -> Plan:
        """What cleaning would do; does nothing. `keep` is as for `index.duplicates.find`."""
        return plan(self._find(keep).groups, how)

    def apply(self, plan: Plan, *, quarantine: AnyPath | None = None, progress: Progress | None = None) -> Cleaned:
        """Put away each file that is as it was indexed, if its keeper is there, unchanged, and another file.

        `progress` is called with the files done and all there are. Raises UsageError for a quarantine without a folder
        or with one that the index would find again.
        """
        folder = self._quarantine(quarantine) if plan.how == "quarantine" else ""
        done, skipped, freed = [], list(plan.skipped), 0
        with self._journal.alone():
            self._settle_all()
            run = self._journal.next_run()
            for number, step in enumerate(plan.steps, 1):
                try:
                    freed += self._put_away(step, plan.how, run, folder)
                    done.append(step.path)
                except OSError as error:
                    skipped.append(Skipped(step.path, files.reason(error)))
                if progress:
                    progress(number, len(plan.steps))
        self._follow()
        return Cleaned(tuple(done), tuple(skipped), freed)

    def recover(self) -> None:
        """Finish or take back what a killed run had begun."""
        with self._journal.alone():
            self._settle_all()
        self._follow()

    def problems(self) -> list[str]:
        """What a killed run left begun, one sentence each; a run that is at work leaves nothing."""
        if not self._journal.begun():
            return []
        try:
            with self._journal.alone():
                left = self._journal.begun()
        except BusyError:
            return []
        return [f"Cleaning {entry.path} was interrupted; repair settles whether it goes or stays." for entry in left]

    def undo(self) -> Undone:
        """Bring back all of the newest run that is not brought back, never over another file. Repeatable."""
        failed = []
        with self._journal.alone():
            run = self._journal.latest()
            restored = [entry.path for entry in self._settle_all() if entry.run == run]
            for entry in self._journal.open_of(run):
                try:
                    moves.bring_back(entry)
                    self._journal.end(entry, "undone")
                    restored.append(entry.path)
                except OSError as error:
                    failed.append(Skipped(entry.path, files.reason(error)))
                    if isinstance(error, moves.GoneError):
                        self._journal.end(entry, "failed", files.reason(error))
        return Undone(tuple(restored), tuple(failed))

    def _quarantine(self, folder: AnyPath | None) -> str:
        if not folder:
            raise UsageError("A quarantine needs a folder to put files into; name one.")
        path = os.path.abspath(os.path.expanduser(folder))
        for walked in self._store.images.folders():
            inside = os.path.relpath(path, walked).split(os.sep)
            if inside[0] != ".." and (inside == ["."] or not any(part.startswith(".") for part in inside)):
                raise UsageError(
                    f"{path} lies in {walked}, which is indexed; choose a quarantine outside, or a hidden one."
                )
        return path

    def _put_away(self, step: Step, how: How, run: int, folder: str) -> int:
        """Returns the bytes that it frees. Raises OSError with the reason why the file stays."""
        with _checked(step, how) as status:
            target = moves.target(step.path, how, folder)
            mode = stat.S_IMODE(status.st_mode)
            entry = self._journal.begin(
                Entry(run, step.path, step.sha256, step.bytes, step.mtime_ns, mode, step.keep, how, target)
            )
            try:
                moves.carry_out(entry)
                self._finish(entry)
            except OSError as error:
                what = f"become a hard link to {step.keep}" if how == "hardlink" else f"go to {target}"
                why = f"cannot {what} ({files.reason(error)})"
                ended = None
                with suppress(OSError):
                    ended = self._settle(entry, "failed", why)
                if ended != "done":
                    raise OSError(None, why) from error
            return status.st_size if status.st_nlink == 1 else 0

    def _finish(self, entry: Entry) -> None:
        with self._store.transaction():
            self._journal.end(entry, "done")
            image = self._store.images.id_of(entry.sha256) if entry.action == "hardlink" else None
            if image is None:
                self._store.images.remove_files([entry.path])
            else:
                self._store.images.put_file(File(entry.path, image, *files.stamp(os.stat(entry.path))))

    def _settle(self, entry: Entry, otherwise: Ended, note: str) -> Ended:
        """End an entry as what is on disk says, or otherwise. Raises OSError when that cannot be told now."""
        try:
            if moves.settle(entry):
                self._finish(entry)
                return "done"
        except moves.GoneError as error:
            otherwise, note = "failed", files.reason(error)
        self._journal.end(entry, otherwise, note)
        return otherwise

    def _settle_all(self) -> list[Entry]:
        """Settle what a kill left begun; returns those whose files are back where they were."""
        back = []
        for entry in self._journal.begun():
            with suppress(OSError):  # its drive is away; another time
                if self._settle(entry, "undone", "interrupted") == "undone":
                    back.append(entry)
        return back


@contextmanager
def _checked(step: Step, how: How) -> Iterator[os.stat_result]:
    """Both files as they were indexed, and held, so that no clean with another index takes the one that stays.

    Raises OSError with the reason to leave the file alone.
    """
    with _opened(step.path) as own, _opened(step.keep, f"its keeper {step.keep} ") as keeper:
        status, kept = os.fstat(own.fileno()), os.fstat(keeper.fileno())
        if os.path.islink(step.path) or os.path.samestat(status, kept):
            raise OSError(None, f"takes no room of its own: it is the same file as {os.path.realpath(step.keep)}")
        if how == "hardlink":
            for differs, what in (
                (step.sha256 != step.keep_sha256, "has other bytes"),
                (status.st_dev != kept.st_dev, "is on another file system"),
                ((status.st_uid, status.st_gid) != (kept.st_uid, kept.st_gid), "has another owner"),
            ):
                if differs:
                    raise OSError(None, f"{what} than {step.keep}, so it cannot be a hard link to it")
        _hold(own, fcntl.LOCK_EX)
        _hold(keeper, fcntl.LOCK_SH)
        if hashlib.file_digest(keeper, "sha256").digest() != step.keep_sha256:
            raise OSError(None, f"its keeper {step.keep} has changed; sync and plan again")
        same = hashlib.file_digest(own, "sha256").digest() == step.sha256
        status = os.fstat(own.fileno())
        if not same or files.stamp(status) != (step.bytes, step.mtime_ns):
            raise OSError(None, "has changed since it was indexed; sync and plan again")
        if not (os.path.samestat(status, os.stat(step.path)) and os.path.samestat(kept, os.stat(step.keep))):
            raise OSError(None, "was replaced just now, or its keeper was; sync and plan again")
        yield status


def _opened(path: str, whose: str = "") -> BufferedReader:
    try:
        return moves.open_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        raise OSError(None, f"{whose}is gone; sync and plan again") from None
    except OSError as error:
        raise OSError(None, f"{whose}cannot be read ({files.reason(error)})") from error


def _hold(file: BufferedReader, lock: int) -> None:
    try:
        fcntl.flock(file, lock | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError(None, f"another program holds {file.name}; clean again when it is done") from None
    except OSError:  # a file system without locks
        pass
