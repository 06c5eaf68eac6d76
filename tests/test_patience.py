"""A drive that hangs holds nobody up for ever, and what it holds is neither taken for damaged nor for gone."""

import errno
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgindex import ImageIndex, UsageError, files, patience, walking
from imgindex.exclusions import Exclusions
from imgindex.patience import answer, answers
from tests.conftest import write_picture
from tests.support.embedders import FakeEmbedder


class Drive:
    """Whatever asks for a path below `hung` waits, as a drive that is gone keeps it in the kernel."""

    def __init__(self) -> None:
        self.hung: set[str] = set()
        self.back = threading.Event()

    def guard(self, function: Callable) -> Callable:
        def guarded(path, *rest, **named):
            if any(str(path).startswith(one) for one in self.hung):
                self.back.wait(20)
            return function(path, *rest, **named)

        return guarded


@pytest.fixture
def drive(monkeypatch) -> Iterator[Drive]:
    drive = Drive()
    monkeypatch.setattr(patience, "SILENCE", 0.3)
    for name in ("open", "scandir", "lstat", "stat"):
        monkeypatch.setattr(os, name, drive.guard(getattr(os, name)))
    yield drive
    drive.back.set()


@pytest.fixture
def photos(tmp_path) -> Path:
    for number in range(8):
        (tmp_path / "photos" / "far").mkdir(parents=True, exist_ok=True)
        write_picture(tmp_path / "photos" / f"{number}.png", number)
        write_picture(tmp_path / "photos" / "far" / f"{number}.png", 100 + number)
    return tmp_path / "photos"


def test_answers_come_in_order_and_errors_with_them():
    def ask() -> Iterator[int]:
        yield from range(1000)
        raise ValueError("no more")

    heard = []
    with pytest.raises(ValueError, match="no more"):
        heard.extend(answers(ask))
    assert heard == [*range(1000)]
    heard.clear()
    for number in answers(ask):
        heard.append(number)
        if number == 10:
            break
    assert heard == [*range(11)]
    assert answer(lambda: 5) == 5
    with pytest.raises(KeyError):
        answer(lambda: {}["nothing"])


def test_who_stops_to_listen_leaves_no_thread_behind():
    before = threading.active_count()
    for _ in range(20):
        next(answers(lambda: iter(range(100_000))))
    for thread in threading.enumerate():
        if thread.name == "imgindex-ask":
            thread.join(5)
    assert threading.active_count() == before


def test_files_that_do_not_answer_fail_and_are_read_once_they_do(photos, tmp_path, drive, monkeypatch):
    with ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as index:
        slow = photos / "far"
        real = files._parts
        monkeypatch.setattr(
            files,
            "_parts",
            lambda path, *size: (
                (drive.back.wait(20), real(path, *size))[1] if path.startswith(str(slow)) else real(path, *size)
            ),
        )
        added = index.add([photos])
        reasons = {failure.path: failure.reason for failure in added.failed}
        assert reasons.keys() == {str(path) for path in slow.iterdir()}
        assert sum("not answering for 0.3 seconds" in reason for reason in reasons.values()) in (3, 4)
        assert sum("its drive is not answering" in reason for reason in reasons.values()) in (4, 5)
        assert added.added == 8
        drive.back.set()
        again = index.sync()
        assert (again.added, again.failed) == (8, [])


def test_a_folder_that_does_not_answer_forgets_nothing(photos, tmp_path, drive):
    with ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as index:
        assert index.add([photos]).added == 16
        drive.hung = {str(photos / "far")}
        synced = index.sync()
        assert [failure.path for failure in synced.failed] == [str(photos)]
        assert synced.failed[0].reason == "not answering for 0.3 seconds; what else is there was not looked at"
        assert synced.files == 16
        drive.hung = {str(photos)}
        assert [failure.path for failure in index.sync().failed] == [str(photos)]
        with pytest.raises(UsageError, match="see to its drive, and try again"):
            index.add([photos])
        drive.back.set()
        assert index.sync().unchanged == 16


@pytest.mark.parametrize("how", ["errs", "hangs"])
def test_a_drive_that_errs_or_hangs_is_not_taken_for_gone(photos, tmp_path, drive, monkeypatch, how):
    """A copy that comes while the first file cannot be seen is a copy, not the first file under another name."""
    far, copy = photos / "far" / "1.png", tmp_path / "near" / "copy.png"
    copy.parent.mkdir()
    shutil.copy(far, copy)
    lstat = os.lstat
    with ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as index:
        index.add([photos])
        with monkeypatch.context() as patch:
            if how == "errs":
                patch.setattr(os, "lstat", lambda path, **rest: fail(path, far) or lstat(path, **rest))
            else:
                drive.hung = {str(far)}
            added = index.add([copy])
            assert (added.added, added.moved) == (1, 0)
            assert index.missing() == []
        drive.hung = set()
        far.unlink()
        assert index.missing() == [str(far)]
        assert index.check(full=True) == []


def fail(path, what) -> None:
    if str(path) == str(what):
        raise OSError(errno.EIO, "Input/output error")


def test_a_walk_that_finds_nothing_for_long_is_no_silence(photos, tmp_path, monkeypatch):
    """Folders of what is left out, each quick, together slower than the bound."""
    scandir = os.scandir
    monkeypatch.setattr(patience, "SILENCE", 0.3)
    monkeypatch.setattr(os, "scandir", lambda path: (time.sleep(0.02), scandir(path))[1])
    for number in range(40):
        (photos / "a" / str(number)).mkdir(parents=True)
        (photos / "a" / str(number) / "a.txt").touch()
    write_picture(photos / "z" / "last.png", 77)
    exclusions = Exclusions({str(photos): ("*.txt",)})
    found = list(walking.walk([str(photos)], skip=str(tmp_path / "index"), exclusions=exclusions))
    assert found[-1].path.endswith("last.png")


def test_a_file_that_another_program_leases_is_read(tmp_path):
    """As a file server does for its clients: opening waits until the lease is given back."""
    (tmp_path / "a.bin").write_bytes(b"lent")
    code = (
        "import fcntl, os, signal, sys, time\n"
        "lent = os.open(sys.argv[1], os.O_RDWR)\n"
        "def back(*_):\n"
        "    time.sleep(0.3)\n"
        "    fcntl.fcntl(lent, fcntl.F_SETLEASE, fcntl.F_UNLCK)\n"
        "signal.signal(signal.SIGIO, back)\n"
        "fcntl.fcntl(lent, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n"
        "print('lent', flush=True)\n"
        "time.sleep(20)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path / "a.bin"], stdout=subprocess.PIPE) as lender:
        assert lender.stdout.readline() == b"lent\n"
        assert files.read(str(tmp_path / "a.bin"), 100).data == b"lent"
        lender.kill()


def test_what_has_nothing_to_read_and_pipes_hold_nobody_up(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(files.NotRegularError):
        files.read(str(tmp_path / "pipe.png"), 100)
    assert files.sha256_of(str(tmp_path / "pipe.png")) is None
    (tmp_path / "empty.png").touch()
    assert files.read(str(tmp_path / "empty.png"), 100).data == b""
    assert files.head(str(tmp_path / "empty.png"), 16) == b""


def test_a_file_is_read_in_the_memory_that_it_needs(tmp_path):
    """400 MB are allowed; a small file must not reserve them."""
    (tmp_path / "a.bin").write_bytes(os.urandom(90_000_000))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 150_000_000, before[1]))
    try:
        content = files.read(str(tmp_path / "a.bin"), 400_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert content.data == (tmp_path / "a.bin").read_bytes()
    with pytest.raises(OSError, match="larger than 5 MB"):
        files.read(str(tmp_path / "a.bin"), 5_000_000)


def test_contents_of_a_folder_that_stops_to_answer(photos, tmp_path, drive):
    drive.hung = {str(photos / "far")}
    found = list(walking.everything(str(photos), own=str(tmp_path / "index")))
    assert found[-1].path == str(photos)
    assert "not looked at" in found[-1].reason
