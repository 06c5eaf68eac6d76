"""Cleaning: what is redundant goes away, the last copy of a picture never does, and all of it comes back."""

import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from imgindex import BusyError
from imgindex.cleanup import cleaner as clean
from imgindex.cleanup import copies, links, moves, opened, renames, views
from imgindex.cleanup import journal as ledger
from imgindex.cleanup.journal import Entry, Journal
from imgindex.cleanup.plan import Plan, plan
from imgindex.errors import UsageError
from imgindex.storage.storage import Storage
from tests.cleanup.pictures import Pictures, agreeing, cleanup, grouped, seen
from tests.support import ATTACK

HOWS = ["trash", "quarantine", "hardlink"]
KILLS = 200 if ATTACK else 48


# Plans


def test_a_plan_keeps_the_first_file_of_each_group(pictures):
    exact = pictures.group("a.png", "b.png", "c.png")
    steps = plan([exact], "trash").steps
    assert [(Path(step.path).name, Path(step.keep).name, step.group) for step in steps] == [
        ("b.png", "a.png", 1),
        ("c.png", "a.png", 1),
    ]


def test_a_loose_group_is_to_be_looked_at_first(pictures):
    made = plan([pictures.group("a.png", "b.png", near=True, loose=True)], "trash")
    assert made.steps == ()
    assert made.skipped[0].path == str(pictures.folder / "b.png")
    assert made.skipped[0].reason.startswith("look at group 1 first: ")


def test_hard_links_are_for_the_same_bytes(pictures):
    near = pictures.group("a.png", "b.png", near=True)
    made = plan([near], "hardlink")
    assert made.steps == ()
    assert "same bytes" in made.skipped[0].reason
    forged = Plan("hardlink", plan([near], "trash").steps, ())
    assert cleanup(pictures.store, pictures.groups).apply(forged).done == ()
    assert pictures.as_they_were()


def test_a_plan_survives_json_with_any_name(pictures):
    pictures.group("a.png", os.fsdecode(b"b\xff\xe9.png"))
    pictures.group("c.png", "d.png", near=True, loose=True)
    made = plan(pictures.groups, "trash")
    assert Plan.from_json(made.to_json().encode("ascii").decode()) == made


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"how": "burn", "steps": [], "skipped": []}', '{"how": "trash", "steps": [{}]}', "3"]
)
def test_what_is_no_plan_is_refused(text):
    with pytest.raises(UsageError, match="not a valid cleaning plan"):
        Plan.from_json(text)


def test_a_relative_path_is_refused(pictures):
    pictures.group("a.png", "b.png")
    text = plan(pictures.groups, "trash").to_json().replace(str(pictures.folder) + "/b", "b")
    with pytest.raises(UsageError, match="absolute"):
        Plan.from_json(text)


# There and back


@pytest.mark.parametrize("how", HOWS)
def test_there_and_back(pictures, how):
    pictures.group("a.png", "b.png", "sub/a.png")
    pictures.group("c.png", os.fsdecode(b"sub/\xff %.png"))
    pictures.group("sub/d.png", "d.png", near=how != "hardlink")
    seen_progress = []
    cleaned = pictures.apply(how, progress=lambda *done: seen_progress.append(done))
    gone = [file.path for group in pictures.groups for file in group.files[1:]]
    kept = {group.files[0].path for group in pictures.groups}
    assert (list(cleaned.done), cleaned.skipped) == (gone, ())
    assert cleaned.freed == sum(len(pictures.was[path][0]) for path in gone)
    assert seen_progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert pictures.states() == ["done"] * 4
    if how == "hardlink":
        assert pictures.known() == set(pictures.was)
        for group in pictures.groups:
            assert all(os.path.samefile(file.path, group.files[0].path) for file in group.files)
        for file in pictures.store.images.files_below("/"):
            assert file.mtime_ns == os.stat(file.path).st_mtime_ns
    else:
        assert pictures.known() == kept
        assert not any(os.path.lexists(path) for path in gone)
    assert all(seen(path) == pictures.was[path] for path in kept)
    undone = pictures.undo()
    assert (sorted(undone.restored), undone.failed) == (sorted(gone), ())
    assert pictures.as_they_were()
    assert {os.stat(path).st_nlink for path in pictures.was} == {1}
    assert pictures.undo() == clean.Undone((), ())
    left = [path for path in pictures.folder.rglob("*") if path.is_file() and str(path) not in pictures.was]
    assert {path.parent.name for path in left} == {"index"}


def test_a_file_system_without_hard_links(pictures, monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    pictures.group("a.png", "b.png")
    assert len(pictures.apply("trash").done) == 1
    assert len(pictures.undo().restored) == 1
    assert "not permitted" in pictures.apply("hardlink").skipped[0].reason
    assert pictures.as_they_were()


def test_the_trash_is_the_desktops(pictures, trash):
    name = os.fsdecode(b"sub/one \xff%.png")
    pictures.group("a.png", "sub/b.png", "b.png", name)
    pictures.apply("trash")
    files, infos = sorted((trash / "files").iterdir()), sorted((trash / "info").iterdir())
    assert [file.name for file in files] == ["b 2.png", "b.png", os.fsdecode(b"one \xff%.png")]
    assert [info.name for info in infos] == [f"{file.name}.trashinfo" for file in files]
    header, path, date = infos[2].read_text().splitlines()
    assert header == "[Trash Info]"
    assert path == f"Path={pictures.folder}/sub/one%20%FF%25.png"
    assert unquote(path, errors="surrogateescape") == f"Path={pictures.folder / name}"
    assert time.strptime(date, "DeletionDate=%Y-%m-%dT%H:%M:%S")
    assert (trash.stat().st_mode & 0o777, (trash / "files").stat().st_mode & 0o777) == (0o700, 0o700)


def test_a_long_name_fits_into_the_trash(pictures):
    pictures.group("a.png", "n" * 251 + ".png")
    assert len(pictures.apply("trash").done) == 1
    assert len(pictures.undo().restored) == 1
    assert pictures.as_they_were()


def test_a_quarantine_overwrites_nothing(pictures):
    pictures.group("a.png", "b.png")
    taken = Path(f"{pictures.folder}/quarantine{pictures.folder}/b.png")
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"other")
    pictures.apply("quarantine")
    assert taken.read_bytes() == b"other"
    assert taken.with_name("b 2.png").read_bytes() == pictures.was[str(pictures.folder / "b.png")][0]
    pictures.undo()
    assert pictures.as_they_were()


@pytest.mark.parametrize("how", ["trash", "quarantine"])
def test_a_place_that_is_taken_meanwhile_is_left_alone(pictures, how, monkeypatch):
    """In the trash even by a file of the same bytes, as another index may be putting its copy there."""
    pictures.group("a.png", "b.png")
    other = pictures.was[str(pictures.folder / "b.png")][0] if how == "trash" else b"other"
    taken: list[Path] = []
    real = Journal.begin

    def begin(self: Journal, entry: Entry) -> Entry:
        place = Path(entry.target)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(other)
        taken.append(place)
        if how == "trash":
            taken.append(place.parents[1] / "info" / "b.png.trashinfo")
            taken[1].write_bytes(b"[Trash Info]\nPath=/other/b.png\n")
        return real(self, entry)

    monkeypatch.setattr(Journal, "begin", begin)
    cleaned = pictures.apply(how)
    assert "file exists" in cleaned.skipped[0].reason
    assert taken[0].read_bytes() == other
    assert all(path.exists() for path in taken)
    assert pictures.as_they_were()
    assert pictures.states() == ["failed"]


def test_a_quarantine_that_the_index_would_find_is_refused(pictures):
    pictures.store.images.add_folder(str(pictures.folder))
    pictures.group("a.png", "b.png")
    for folder in None, "", pictures.folder, pictures.folder / "sub":
        with pytest.raises(UsageError):
            pictures.apply("quarantine", quarantine=folder)
    assert len(pictures.apply("quarantine", quarantine=pictures.folder / ".hidden").done) == 1


@pytest.mark.parametrize("how", ["trash", "quarantine"])
def test_another_file_system(pictures, elsewhere, trash, how):
    pictures.group("a.png", elsewhere / "b.png")
    if how == "quarantine":
        pictures.group(elsewhere / "c.png", "c.png")
        cleaned = pictures.apply(how)
        assert [one.path for one in cleaned.skipped] == [*pictures.paths("c.png")]
        assert "lies in memory" in cleaned.skipped[0].reason
    else:
        assert pictures.apply(how).skipped == ()
    own = elsewhere.parent / f".Trash-{os.getuid()}"
    if how == "trash":
        assert (own / "info" / "b.png.trashinfo").read_text().splitlines()[1] == f"Path={elsewhere.name}/b.png"
        assert (own / "files" / "b.png").exists()
    pictures.undo()
    assert pictures.as_they_were()
    if how == "trash":  # where a drive has no trash, the user's own is used
        shutil.rmtree(own)
        own.write_bytes(b"")
        assert pictures.apply(how).skipped == ()
        assert (trash / "files" / "b.png").exists()
        pictures.undo()
        assert pictures.as_they_were()
        own.unlink()


def test_the_shared_trash_of_a_drive_must_be_sticky(pictures, elsewhere):
    shared = elsewhere.parent / ".Trash"
    if shared.exists():
        pytest.skip("/dev/shm has a trash in use")
    shared.mkdir(mode=0o777)
    try:
        pictures.group("a.png", elsewhere / "b.png")
        for sticky in False, True:
            os.chmod(shared, 0o1777 if sticky else 0o777)
            pictures.apply("trash")
            assert (shared / str(os.getuid()) / "files" / "b.png").exists() == sticky
            if sticky:
                info = shared / str(os.getuid()) / "info" / "b.png.trashinfo"
                assert info.read_text().splitlines()[1] == f"Path={elsewhere.name}/b.png"
            pictures.undo()
            assert pictures.as_they_were()
    finally:
        shutil.rmtree(shared)


def test_a_hard_link_to_another_file_system_is_left_alone(pictures, elsewhere):
    pictures.group("a.png", elsewhere / "b.png")
    cleaned = pictures.apply("hardlink")
    assert "another file system" in cleaned.skipped[0].reason
    assert pictures.as_they_were()


# What is left alone


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("rm a", ["a.png", "gone"]),
        ("printf %1089d 1 > a", ["a.png", "changed"]),
        ("rm a; mkdir a", ["a.png", "directory"]),
        ("rm a; mkfifo a", ["a.png", "not a regular file"]),
        ("ln -sf b a", ["same file"]),
        ("ln -f b a", ["same file"]),
        ("ln -sf a b", ["same file"]),
        ("touch b", ["changed since"]),
        ("echo other > b", ["changed since"]),
        ("touch -r b old; printf %1089d 1 > b; touch -r old b; rm old", ["changed since"]),
    ],
)
def test_what_is_not_as_indexed_is_left_alone(pictures, how, change, words):
    pictures.group("a.png", "b.png")
    change = re.sub(r"\b([ab])\b", r"\1.png", change)
    subprocess.run(change, shell=True, check=True, cwd=pictures.folder)
    before = os.lstat(pictures.folder / "b.png")[:6], os.path.getmtime(pictures.folder / "b.png")
    cleaned = pictures.apply(how)
    assert cleaned.done == ()
    assert all(word in cleaned.skipped[0].reason for word in words), cleaned.skipped
    assert (os.lstat(pictures.folder / "b.png")[:6], os.path.getmtime(pictures.folder / "b.png")) == before
    assert pictures.known() == set(pictures.was)
    assert pictures.states() == []


def test_a_file_that_is_gone_stops_nothing(pictures):
    pictures.group("a.png", "b.png", "c.png")
    (pictures.folder / "b.png").unlink()
    cleaned = pictures.apply("trash")
    assert cleaned.done == pictures.paths("c.png")
    assert cleaned.skipped[0] == (str(pictures.folder / "b.png"), "is gone; sync and plan again")


@pytest.mark.parametrize("how", ["trash", "quarantine"])
def test_the_last_copy_stays_whatever_the_plan_says(pictures, how):
    """Each file's keeper is the next one's redundant file, in a circle."""
    files = pictures.group("a.png", "b.png", "c.png", "d.png").files
    pictures.groups = [grouped(nth, (files[nth], files[nth - 1])) for nth in range(4)]
    cleaned = pictures.apply(how)
    assert len(cleaned.done) < 4
    assert len([path for path in pictures.was if os.path.exists(path)]) == 4 - len(cleaned.done) >= 1
    again = pictures.apply(how)
    assert len([path for path in pictures.was if os.path.exists(path)]) >= 1
    assert all("gone" in skipped.reason for skipped in again.skipped)


def test_a_file_with_another_name_of_its_own_frees_nothing(pictures):
    pictures.group("a.png", "b.png")
    os.link(pictures.folder / "b.png", pictures.folder / "unknown.png")
    cleaned = pictures.apply("trash")
    assert (len(cleaned.done), cleaned.freed) == (1, 0)


def test_two_cleans_exclude_each_other(pictures):
    pictures.group("a.png", "b.png", "c.png")
    other = cleanup(Storage.open(pictures.folder / "index" / "index.db"), pictures.groups)
    refused = []

    def meanwhile(*_: int) -> None:
        for call in (lambda: other.apply(plan(pictures.groups, "trash")), other.undo, other.recover):
            with pytest.raises(BusyError, match="Another imgindex") as raised:
                call()
            refused.append(raised.value)

    assert len(pictures.apply("trash", progress=meanwhile).done) == 2
    assert len(refused) == 6


@pytest.mark.parametrize("how", HOWS)
def test_two_indexes_never_take_the_last_copy(tmp_path, how, monkeypatch):
    """Each keeps what the other one removes, and the other comes when the first has looked and not yet acted."""
    first, second = Pictures(tmp_path / "1"), Pictures(tmp_path / "2")
    first.group(tmp_path / "a.png", tmp_path / "b.png")
    second.group(tmp_path / "b.png", tmp_path / "a.png")
    first.groups = [grouped(1, second.groups[0].files[::-1])]
    real, others = Journal.begin, []

    def begin(self: Journal, entry: Entry) -> Entry:
        if not others:
            others.append(None)
            others[0] = second.apply(how)
        return real(self, entry)

    monkeypatch.setattr(Journal, "begin", begin)
    assert first.apply(how).done == (str(tmp_path / "b.png"),)
    assert others[0].done == ()
    assert "another program holds" in others[0].skipped[0].reason
    assert (tmp_path / "a.png").exists()
    assert second.apply(how).done == ()


def test_a_file_that_is_written_to_meanwhile_becomes_no_link(pictures, monkeypatch):
    pictures.group("a.png", "b.png")
    real = Journal.begin

    def begin(self: Journal, entry: Entry) -> Entry:
        Path(entry.path).write_bytes(b"newer")
        return real(self, entry)

    monkeypatch.setattr(Journal, "begin", begin)
    assert "changed just now" in pictures.apply("hardlink").skipped[0].reason
    assert (pictures.folder / "b.png").read_bytes() == b"newer"
    assert not list(pictures.folder.rglob(".imgindex-*"))


# Undo


@pytest.mark.parametrize("how", HOWS)
def test_undo_overwrites_nothing(pictures, how):
    pictures.group("a.png", "b.png", "c.png")
    pictures.apply(how)
    newcomer = pictures.folder / "b.png"
    newcomer.unlink(missing_ok=True)
    newcomer.write_bytes(b"other")
    undone = pictures.undo()
    assert undone.restored == pictures.paths("c.png")
    assert [failed.path for failed in undone.failed] == [str(newcomer)]
    assert "another file has come" in undone.failed[0].reason
    assert newcomer.read_bytes() == b"other"
    newcomer.unlink()
    assert pictures.undo().restored == (str(newcomer),)
    assert pictures.as_they_were()


def test_undo_takes_the_newest_run_first(pictures):
    pictures.group("a.png", "b.png")
    pictures.apply("trash")
    pictures.group("c.png", "d.png")
    pictures.apply("quarantine")
    assert pictures.undo().restored == pictures.paths("d.png")
    assert pictures.undo().restored == pictures.paths("b.png")
    assert pictures.as_they_were()


def test_what_was_deleted_for_good_is_said_once(pictures, trash):
    pictures.group("a.png", "b.png")
    pictures.apply("trash")
    shutil.rmtree(trash)
    undone = pictures.undo()
    assert undone.restored == ()
    assert "is gone" in undone.failed[0].reason
    assert pictures.undo() == clean.Undone((), ())
    assert pictures.states() == ["failed"]


def test_undo_makes_a_removed_folder_again(pictures):
    pictures.group("a.png", "sub/sub/b.png")
    pictures.apply("trash")
    shutil.rmtree(pictures.folder / "sub")
    assert len(pictures.undo().restored) == 1
    assert pictures.as_they_were()


def test_undo_of_links_whose_keeper_is_gone(pictures):
    pictures.group("a.png", "b.png")
    pictures.apply("hardlink")
    (pictures.folder / "a.png").unlink()
    assert len(pictures.undo().restored) == 1
    assert seen(pictures.folder / "b.png") == pictures.was[str(pictures.folder / "b.png")]


# Errors


@pytest.mark.parametrize("how", HOWS)
def test_each_call_of_the_system_may_fail(pictures, how, monkeypatch):
    """The first, then the second, ... of all calls that change a disk: the file is away, or as it was."""
    pictures.group("a.png", "b.png")
    calls, left, failures = ("link", "unlink", "rename", "open", "fsync", "makedirs"), 0, 0
    rooms = {room.__file__ for room in (moves, links, copies, renames, views)}

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= sys._getframe(1).f_code.co_filename in rooms
            if left == 0:
                left = -1
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*arguments, **options)

        return call

    for nth in range(1, 100):
        left = nth
        with monkeypatch.context() as patch:
            for call in calls:
                patch.setattr(os, call, failing(getattr(os, call)))
            patch.setattr(renames, "_by_kernel", failing(renames._by_kernel))
            cleaned = pictures.apply(how)
        if left > 0:
            break
        assert len(cleaned.done) + len(cleaned.skipped) == 1
        for path, reason in cleaned.skipped:
            failures += 1
            assert "no space left on device" in reason
            assert seen(path) == pictures.was[path]
            assert path in pictures.known()
            assert "done" not in pictures.states()
        pictures.undo()
        assert pictures.as_they_were()
        left_over = {path.name for path in pictures.folder.rglob("*") if path.is_file() and path.parent.name != "index"}
        assert left_over == {"a.png", "b.png"}
        pictures.index(str(pictures.folder / "b.png"))
    assert failures >= 2


@pytest.fixture
def small(pictures: Pictures, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of 64 KB; where mounting is forbidden, the test runs as root of a namespace."""
    folder = pictures.folder / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        inside = ["unshare", "--user", "--map-root-user", "--mount"]
        if "IMGINDEX_NAMESPACE" in os.environ or subprocess.run([*inside, "true"], check=False).returncode:
            pytest.skip("neither mount nor unshare is allowed here")
        test = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", request.node.nodeid]
        again = subprocess.run(
            [*inside, *test], env=os.environ | {"IMGINDEX_NAMESPACE": "1"}, cwd=request.config.rootpath,
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert again.returncode == 0, again.stdout
        pytest.skip("passed in a namespace of its own")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_quarantine_stops_nothing(pictures, small):
    keep, big = (pictures.file(pictures.folder / name, bytes(100_000)) for name in ("keep.png", "big.png"))
    pictures.groups.append(grouped(1, (keep, big)))
    pictures.group("a.png", "b.png")
    cleaned = pictures.apply("quarantine", quarantine=small)
    assert cleaned.done == pictures.paths("b.png")
    assert "no space left" in cleaned.skipped[0].reason
    assert len([path for path in small.rglob("*") if path.is_file()]) == 1
    assert pictures.states() == ["failed", "done"]
    pictures.undo()
    assert pictures.as_they_were()


def test_a_read_only_drive_stops_nothing(pictures, small):
    pictures.group("a.png", small / "b.png")
    pictures.group("c.png", "d.png")
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    for how in HOWS:
        cleaned = pictures.apply(how)
        assert cleaned.done == pictures.paths("d.png")
        assert any(word in cleaned.skipped[0].reason for word in ("read-only", "another file system"))
        pictures.undo()
        assert pictures.as_they_were()
    assert not [path for path in (pictures.folder / "data").rglob("*") if path.is_file()]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
def test_a_forbidden_folder_is_a_line(children):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pictures = Pictures(folder)
        pictures.group("a.png", "locked/b.png")
        pictures.group("c.png", "d.png")
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 65534, 65534)
        os.chown(folder / "locked", 0, 0)
        (folder / "plan.json").write_text(plan(pictures.groups, "trash").to_json())
        assert children.start("apply", folder, user=65534).wait() == 0
        said = json.loads((folder / "said.json").read_text())
        assert said["done"] == [str(folder / "d.png")]
        assert "permission denied" in said["skipped"][0][1]
        assert pictures.states() == ["failed", "done"]
        assert children.start("undo", folder, user=65534).wait() == 0
        assert pictures.as_they_were()


# Kill -9


class Children:
    """A process that forks a child for each job, which spares the imports."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-c", "from tests.cleanup.test_cleaner import serve; serve()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        self.order()

    def order(self, **order: Any) -> int:
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(order, default=str) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def start(self, job: str, folder: Path, **options: Any) -> "Child":
        return Child(self, self.order(job=job, folder=folder, data=os.environ["XDG_DATA_HOME"], **options))

    def close(self) -> None:
        self._server.communicate()


class Child:
    def __init__(self, children: Children, pid: int) -> None:
        self._children, self.pid = children, pid

    def wait(self) -> int:
        return self._children.order(wait=self.pid)


def serve() -> None:
    """Orders come as lines; answers are a child's process id or how it ended."""
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
        else:
            answer = os.fork() if order else 0
            if order and not answer:
                os._exit(work(**order))
        print(answer, flush=True)


def work(job: str, folder: str, data: str, lines: int = 0, user: int = 0) -> int:
    """Apply or undo; with `lines`, kill -9 oneself before the nth line of the code under test."""
    os.environ["XDG_DATA_HOME"] = data if not user else f"{folder}/data"
    if user:
        os.environ["XDG_STATE_HOME"] = f"{folder}/state"
        os.setgid(user)
        os.setuid(user)
    left, files = lines, {room.__file__ for room in (clean, ledger, moves, links, copies, renames, views)}

    def count(frame: Any, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return count

    here = Path(folder)
    made = Plan.from_json((here / "plan.json").read_text())
    cleaner = cleanup(Storage.open(here / "index" / "index.db"), agreeing(made))
    if lines:
        sys.settrace(count)
    if job == "undo":
        cleaner.undo()
    else:
        cleaned = cleaner.apply(made, quarantine=here / "quarantine")
        (here / "said.json").write_text(json.dumps({"done": cleaned.done, "skipped": cleaned.skipped}))
    return 0


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    children = Children()
    yield children
    children.close()


MOMENTS: dict[str, tuple[Any, str]] = {
    "rename": (renames, "_by_kernel"), "check": (opened.Opened, "check_is_at"), "link": (os, "link"),
    "unlink": (os, "unlink"), "fsync": (os, "fsync"),
}  # fmt: skip


def interrupted(monkeypatch: pytest.MonkeyPatch, call: str, job: Callable[[], Any]) -> None:
    """End a job at its first use of a call, as a kill does."""

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(moves, "_discard_parts", lambda _: None)  # which has an unlink, too
        patch.setattr(moves, "check_apart", lambda _: None)
        patch.setattr(*MOMENTS[call], interrupt)
        with pytest.raises(KeyboardInterrupt):
            job()


@pytest.mark.parametrize("kernel", [True, False])
@pytest.mark.parametrize(
    ("how", "call", "state"),
    [
        ("quarantine", "rename", "undone"),
        ("quarantine", "check", "done"),
        ("quarantine", "fsync", "done"),
        ("hardlink", "link", "undone"),
        ("hardlink", "rename", "undone"),
        ("hardlink", "check", "done"),
        ("hardlink", "unlink", "done"),
        ("hardlink", "fsync", "done"),
    ],
)
def test_the_next_clean_settles_what_was_begun(pictures, how, call, state, kernel, monkeypatch):
    pictures.group("a.png", "b.png")
    if not kernel:
        monkeypatch.setattr(renames, "_renameat2", lambda: None)
    interrupted(monkeypatch, call, lambda: pictures.apply(how))
    assert pictures.states() == ["begun"]
    cleanup(pictures.store).apply(Plan("trash", (), ()))
    assert pictures.states() == [state]
    assert (str(pictures.folder / "b.png") in pictures.known()) == (state == "undone" or how == "hardlink")
    assert pictures.as_they_were() == (state == "undone")
    assert not list(pictures.folder.rglob(".imgindex-*"))
    assert {path.name for path in pictures.folder.rglob("*.png")} == {"a.png", "b.png"}


@pytest.mark.parametrize("call", ["rename", "check", "fsync"])
def test_an_interrupted_undo_is_finished_by_the_next(pictures, call, monkeypatch):
    pictures.group("a.png", "b.png")
    pictures.apply("quarantine")
    interrupted(monkeypatch, call, pictures.undo)
    assert pictures.undo() == clean.Undone(pictures.paths("b.png"), ())
    assert pictures.as_they_were()
    assert not [path for path in (pictures.folder / "quarantine").rglob("*") if path.is_file()]


def nothing_lost(pictures: Pictures) -> None:
    """Each picture is where it was or where the ledger says, whole; what the index knows is there."""
    entries = pictures.store.database.rows("SELECT path, target, state FROM ledger WHERE state IN ('begun', 'done')")
    places = {path: [path] for path in pictures.was}
    for path, target, _ in entries:
        places[path].append(target)
    for path, (data, _, _) in pictures.was.items():
        assert any((at := seen(place)) and at[0] == data for place in places[path]), path
    for group in pictures.groups:
        assert seen(group.files[0].path) == pictures.was[group.files[0].path]
    for path in set(pictures.was) - {row[0] for row in entries}:
        assert seen(path) == pictures.was[path]
    for path in pictures.known() - {row[0] for row in entries if row[2] == "begun"}:
        assert os.path.exists(path)


@pytest.mark.parametrize("how", [*HOWS, "quarantine elsewhere"])
@pytest.mark.attack
def test_kill_at_any_moment_loses_nothing(tmp_path, children, how, request):
    """Before random lines of the code, and at random moments from outside; of apply, then of undo."""
    far = how == "quarantine elsewhere"
    shelf = request.getfixturevalue("elsewhere") if far else tmp_path / "quarantine"
    dice = random.Random(int(os.environ.get("CRASH_SEED", "1")))
    killed = {"apply": 0, "undo": 0}
    half = settled = 0
    pictures = Pictures(tmp_path / "here")
    for number in range(3):
        names = [f"{number}a.png", f"{number}b.png", f"sub/{number}b.png"]
        pictures.group(*([shelf.parent / shelf.name / name for name in names] if far else names))
    made = plan(pictures.groups, how.split()[0])
    (pictures.folder / "plan.json").write_text(made.to_json())
    while sum(killed.values()) < KILLS // 4 or min(killed.values()) < 4 or half < 3:
        for job in "apply", "undo":
            if job == "apply" and dice.random() < 0.5:
                child = children.start(job, pictures.folder)
                time.sleep(dice.uniform(0, 0.1))
                os.kill(child.pid, signal.SIGKILL)
            else:
                child = children.start(job, pictures.folder, lines=dice.randint(1, 900 if job == "apply" else 400))
            code = child.wait()
            assert code in (0, -signal.SIGKILL)
            killed[job] += code != 0
            half += "begun" in pictures.states()
            nothing_lost(pictures)
            if job == "apply" and dice.random() < 0.3:
                cleanup(pictures.store).recover()
                settled += 1
                assert "begun" not in pictures.states()
                nothing_lost(pictures)
        pictures.undo()
        assert pictures.undo() == clean.Undone((), ())
        assert pictures.as_they_were()
        assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
        assert not list(tmp_path.rglob(".imgindex-*"))
        for path in pictures.was:
            pictures.index(path)
    print(f"{how}: {killed} kills, {half} with a file in between, {settled} settled by recover")
