"""A drive that hangs holds nobody up for ever, and what it holds is neither taken for damaged nor for gone."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgindex import ImageIndex, UsageError, files, patience, walking
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
    import resource

    (tmp_path / "a.bin").write_bytes(os.urandom(9_000_000))
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
