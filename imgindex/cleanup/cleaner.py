"""Putting redundant files away, so that the last copy of a picture never goes and all of it can be brought back."""

import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from imgindex import files
from imgindex.cleanup import moves
from imgindex.cleanup.belongings import with_sidecars
from imgindex.cleanup.checks import checked
from imgindex.cleanup.drives import GoneError, drive_of
from imgindex.cleanup.journal import Ended, Entry, Journal
from imgindex.cleanup.opened import Opened, digest, open_regular
from imgindex.cleanup.plan import Cleaned, How, Plan, Skipped, Step, Undone, plan
from imgindex.cleanup.quarantine import quarantine as quarantine_in
from imgindex.cleanup.seal import is_ours, sealed, stranger
from imgindex.cleanup.views import SameFileError
from imgindex.duplicates.records import Duplicates, Held
from imgindex.errors import BusyError, NotIndexedError
from imgindex.records import File
from imgindex.retention.policies import lies_in
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

    def plan(
        self,
        how: How = "trash",
        *,
        keep: Sequence[str] = (),
        only: Held | None = None,
        group: int | None = None,
        under: AnyPath | None = None,
    ) -> Plan:
        """What cleaning would do; does nothing. `keep` is as for `index.duplicates.find`.

        Of all files that one which stays holds, or of those that are held by the same bytes (`only` "exact") or pixels
        ("same"), in one group, under one folder. Raises NotIndexedError for a group that there is not.
        """
        every = self._find(keep).groups
        groups = every if group is None else tuple(one for one in every if one.id == group)
        if group is not None and not groups:
            raise NotIndexedError(f"There is no group {group} now.")
        made = plan(groups, how, keep=keep, only=only).without(self._journal.views())
        if under is not None:
            top = (os.path.abspath(os.path.expanduser(under)),)
            steps = tuple(step for step in made.steps if lies_in(step.path, top))
            made = replace(made, steps=steps, skipped=tuple(one for one in made.skipped if lies_in(one.path, top)))
        return made if how == "hardlink" else with_sidecars(made.whole(every))

    def apply(self, plan: Plan, *, quarantine: AnyPath | None = None, progress: Progress | None = None) -> Cleaned:
        """Put away each file that is as it was indexed, if its keeper is there, unchanged, and another file.

        `progress` is called with the files done and all there are. Raises UsageError for a quarantine without a folder
        or with one that the index would find again.
        """
        folder = self._quarantine(quarantine, plan) if plan.how == "quarantine" else ""
        done, skipped, freed = [], list(plan.skipped), 0
        with self._journal.alone():
            self._settle_all()
            run, agreed = self._journal.next_run(), self._agreed(plan)
            going = {one for one in plan.steps if (one.path, one.sha256, one.keep, one.keep_sha256) in agreed}
            looked = with_sidecars(replace(plan, steps=tuple(going)))
            beside = {one.path: {sidecar.path for sidecar in one.sidecars} for one in looked.steps}
            for number, step in enumerate(plan.steps, 1):
                try:
                    if step not in going:
                        raise OSError(None, "is not redundant any more, by what was decided or added since; plan again")
                    freed += self._put_away(step, plan.how, run, folder)
                    done.append(step.path)
                    if plan.how != "hardlink":  # a link takes a file's place, and its sidecars stay beside it
                        skipped += self._put_sidecars_away(step, beside[step.path], plan.how, run, folder)
                except OSError as error:
                    skipped.append(Skipped(step.path, files.reason(error)))
                if progress:
                    progress(number, len(plan.steps))
        self._follow()
        return Cleaned(tuple(done), tuple(skipped), freed)

    def _agreed(self, plan: Plan) -> set[tuple[str, bytes, str, bytes]]:
        """Files that may go now, each with every file that stays for it: decisions since the plan are obeyed."""
        going = [file for group in self._find(plan.keep).groups for file in group.redundant]
        return {(file.path, file.sha256, file.holder or "", file.holder_sha256 or b"") for file in going}

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
        return [_interrupted(entry) for entry in left]

    def undo(self) -> Undone:
        """Bring back all of the newest run that is not brought back, never over another file. Repeatable.

        What somebody else's machine put away since is listed as failed, until it was moved back by hand.
        """
        failed = []
        with self._journal.alone():
            run = next((entry.run for entry in self._journal.open() if is_ours(entry)), 0)
            restored = [entry.path for entry in self._settle_all() if entry.run == run]
            for entry in self._journal.open():
                if entry.run < run:
                    break
                try:
                    if is_ours(entry):
                        moves.bring_back(entry)
                        restored.append(entry.path)
                    elif not moves.is_back(entry):
                        raise OSError(None, stranger(entry))
                    self._journal.end(entry, "undone")
                except OSError as error:
                    failed.append(Skipped(entry.path, files.reason(error)))
                    if isinstance(error, GoneError):
                        self._journal.end(entry, "failed", files.reason(error))
        return Undone(tuple(restored), tuple(failed))

    def _quarantine(self, folder: AnyPath | None, plan: Plan) -> str:
        going = {step.path for step in plan.steps}
        index = str(self._store.database.path.parent)
        return quarantine_in(folder, going, walked=self._store.images.folders(), index=index)

    def _put_away(self, step: Step, how: How, run: int, folder: str) -> int:
        """Returns the bytes that it frees. Raises OSError with the reason why the file stays."""
        with checked(step, how) as opened:
            try:
                self._carry_out(self._entry(step.path, opened, run, step.keep, how, folder), opened)
            except SameFileError:
                self._journal.put_view(step.path, step.keep)
                raise
            return opened.status.st_size if opened.status.st_nlink == 1 else 0

    def _entry(self, path: str, opened: Opened, run: int, kept: str, how: How, folder: str) -> Entry:
        target = moves.target(path, how, folder)
        mode = stat.S_IMODE(opened.status.st_mode)
        drives = drive_of(path), drive_of(target)
        return sealed(Entry(run, path, opened.sha256, *files.stamp(opened.status), mode, kept, how, target).on(*drives))

    def _carry_out(self, entry: Entry, opened: Opened) -> None:
        """Raises OSError with the reason why the file is still where it was."""
        entry = self._journal.begin(entry)
        try:
            moves.carry_out(entry, opened)
            self._finish(entry)
        except OSError as error:
            link = entry.action == "hardlink"
            why = f"cannot {f'become a hard link to {entry.kept}' if link else f'go to {entry.target}'}"
            why = f"{why} ({files.reason(error)})"
            ended = None
            with suppress(OSError):
                ended = self._settle(entry, "failed", why)
            if isinstance(error, SameFileError):
                raise
            if ended != "done":
                raise OSError(None, why) from error

    def _put_sidecars_away(self, step: Step, beside: set[str], how: How, run: int, folder: str) -> list[Skipped]:
        """Put what belongs to a file that went where it went; one that cannot go stays, and it is said."""
        stayed = []
        for sidecar in step.sidecars:
            try:
                if sidecar.path not in beside:
                    raise OSError(None, "does not belong to it now, or another file needs it, too")
                with open_regular(sidecar.path) as file:
                    status = os.fstat(file.fileno())
                    if files.stamp(status) != (sidecar.bytes, sidecar.mtime_ns):
                        raise OSError(None, "has changed since the plan was made")
                    opened = Opened(file, digest(file), status)
                    self._carry_out(self._entry(sidecar.path, opened, run, step.keep, how, folder), opened)
            except OSError as error:
                stayed.append(Skipped(sidecar.path, f"belongs to {step.path}, but {files.reason(error)}"))
        return stayed

    def _finish(self, entry: Entry) -> None:
        with self._store.transaction():
            self._journal.end(entry, "done")
            image = self._store.images.id_of(entry.sha256) if entry.action == "hardlink" else None
            if image is None:
                self._store.images.remove_files([entry.path])
            else:
                self._store.images.put_file(File(entry.path, image, *files.found(entry.path, os.stat(entry.path))[1:]))

    def _settle(self, entry: Entry, otherwise: Ended, note: str) -> Ended:
        """End an entry as what is on disk says, or otherwise. Raises OSError when that cannot be told now."""
        try:
            if moves.settle(entry):
                self._finish(entry)
                return "done"
        except GoneError as error:
            otherwise, note = "failed", files.reason(error)
        self._journal.end(entry, otherwise, note)
        return otherwise

    def _settle_all(self) -> list[Entry]:
        """Settle what a kill left begun; returns those whose files are back where they were."""
        back = []
        for entry in self._journal.begun():
            with suppress(OSError):  # its drive is away; another time
                if is_ours(entry) and self._settle(entry, "undone", "interrupted") == "undone":
                    back.append(entry)
        return back


def _interrupted(entry: Entry) -> str:
    if is_ours(entry):
        return f"Cleaning {entry.path} was interrupted; repair settles whether it goes or stays."
    return f"Cleaning {entry.path} was interrupted, but it {stranger(entry)}; nothing else is done about it."
