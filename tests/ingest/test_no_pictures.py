"""What is no picture, what cannot be read, and what only could not be read now."""

import os
from pathlib import Path

import pytest

from imgindex import ImageIndex
from imgindex.decoding.child import Child, KilledError
from imgindex.decoding.decoder import Decoder
from imgindex.errors import DecodingStoppedError, UnreadablePictureError
from tests.conftest import write_picture

BESIDE = {
    "a.json": b"{}", "a.xmp": b"<x:xmpmeta/>", "notes.txt": b"Summer", "film.mp4": b"\0\0\0\x20ftypisom" + bytes(99),
    "film.mov": b"\0\0\0\x14ftypqt  " + bytes(99), "README": b"read me", "empty.txt": b"", "x.db": b"SQLite format 3",
}  # fmt: skip


@pytest.fixture
def index(tmp_path, embedder):
    with ImageIndex(tmp_path / "index", embedder=embedder) as opened:
        yield opened


def write_beside(folder: Path) -> None:
    for name, data in BESIDE.items():
        (folder / name).write_bytes(data)


def test_what_is_no_picture_is_counted_and_not_listed(index, photos):
    write_beside(photos)
    added = index.add([photos])
    assert (added.added, added.skipped, added.failed) == (5, len(BESIDE), [])
    again = index.add([photos])
    assert (again.unchanged, again.skipped, again.failed) == (5, len(BESIDE), [])


def test_a_picture_by_its_content_is_read_whatever_its_name(index, photos):
    for name in ("wrong-type.txt", "no extension", "film.mp4"):
        os.replace(write_picture(photos / "new.png", len(name)), photos / name)
    assert index.add([photos]).added == 8


def test_a_picture_by_its_name_that_is_broken_is_listed(index, photos):
    names = ["a.JPG", "b.heic", "c.nef", "d.psd", "e.svg"]
    for name in names:
        (photos / name).write_bytes(b"nothing of the kind")
    added = index.add([photos])
    assert ([Path(failure.path).name for failure in added.failed], added.skipped) == (names, 0)


def test_strict_does_not_mind_what_is_no_picture(run, photos):
    write_beside(photos)
    told = run("add", photos, "--strict", "--json")
    assert (told.code, told.json["skipped"], told.json["failed"]) == (0, len(BESIDE), [])
    assert f"{len(BESIDE)} no pictures" in run("sync", "--strict").out
    (photos / "bad.png").write_bytes(b"no picture")
    assert run("sync", "--strict").code == 1


def test_a_film_is_not_read_whole(index, photos, monkeypatch):
    write_beside(photos)
    monkeypatch.setattr("imgindex.files.read", lambda path, _: pytest.fail(f"{path} was read"))
    assert index.add([photos / name for name in BESIDE]).skipped == len(BESIDE)


def test_a_picture_that_became_a_text_is_forgotten(index, photos):
    os.replace(photos / "0.png", photos / "scan")
    assert index.add([photos]).files == 5
    (photos / "scan").write_bytes(b"a text now")
    assert index.add([photos]).files == 4


def test_an_older_list_of_failures_forgets_what_is_no_picture(index, photos):
    write_beside(photos)
    decoder = index._pipeline._decoder
    status = os.stat(photos / "a.json")
    index._store.database.write(
        "INSERT INTO failures VALUES (?, ?, ?, ?, ?)",
        [(str(photos / "a.json"), "not a picture", status.st_size, status.st_mtime_ns, decoder)],
    )
    assert index.add([photos]).failed == []
    assert index._store.images.failures_at([str(photos / "a.json")], decoder) == []


class Refusing:
    """A decoder that refuses so many times, and then decodes."""

    def __init__(self, plain, times: int, error: type[Exception]) -> None:
        self._plain, self._times, self._error = plain, times, error
        self.renewed = 0

    def __call__(self, data, size):
        if self._times:
            self._times -= 1
            raise self._error("the data is damaged")
        return self._plain(data, size)


@pytest.mark.usefixtures("inline")
@pytest.mark.parametrize(
    ("times", "error", "failed", "later"),
    [
        (1, UnreadablePictureError, 0, 1),  # once is no verdict
        (2, UnreadablePictureError, 1, 1),  # twice is one, and holds
        (1, DecodingStoppedError, 1, 0),  # a shortage never is
    ],
)
def test_only_what_fails_twice_is_unreadable(index, photos, monkeypatch, times, error, failed, later):
    decoders = index._model.decoders
    monkeypatch.setattr(decoders, "decode", Refusing(decoders.decode, times, error))
    assert len(index.add([photos / "0.png"]).failed) == failed
    assert len(index.add([photos / "0.png"]).failed) == (1 if later and failed else 0)


@pytest.mark.usefixtures("inline")
def test_a_shortage_forgets_nothing_of_an_older_index(index, photos, monkeypatch):
    index.add([photos])
    index._store.database.write("DELETE FROM facts", [()])  # as an older version left it
    decoders = index._model.decoders
    plain = decoders.decode
    for times, error in ((5, UnreadablePictureError), (99, DecodingStoppedError)):
        monkeypatch.setattr(decoders, "decode", Refusing(plain, times, error))
        assert index.add([photos]).files == 5


def test_a_second_look_is_by_a_fresh_process(index, photos, monkeypatch):
    (photos / "bad.png").write_bytes(b"no picture")
    asked = []
    plain = Child.ask

    def ask(child, *request, **how):
        asked.append(child)
        return plain(child, *request, **how)

    monkeypatch.setattr(Child, "ask", ask)
    assert len(index.add([photos / "bad.png"]).failed) == 1
    assert len(set(map(id, asked))) == len(asked) == 2


def test_a_worker_without_memory_gives_no_verdict():
    """Its limit leaves no room, so that libraries say that the data is damaged."""
    import resource

    with Decoder(16, workers=1) as decoder:
        with pytest.raises(UnreadablePictureError):
            decoder.decode(b"no picture")
        child = decoder._idle.get()
        resource.prlimit(child._process.pid, resource.RLIMIT_AS, (1, 1))
        with pytest.raises(KilledError):
            child.ask(*_request(b"no picture"), act="decoding", cpu=2)
        decoder._idle.put(None)


def _request(data: bytes) -> tuple[bytes, bytes]:
    from imgindex.decoding.protocol import REQUEST

    return REQUEST.pack(len(data), 0), data


def test_a_full_check_reads_files_again(index, photos):
    index.add([photos])
    status = os.stat(photos / "1.png")
    data = bytearray((photos / "1.png").read_bytes())
    data[-20] ^= 1
    (photos / "1.png").write_bytes(data)  # rot: in place
    os.utime(photos / "1.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.unlink(photos / "2.png")
    os.mkfifo(photos / "2.png")
    assert index.check() == []
    problems = index.check(full=True)
    assert [problem.split(" is ")[0] for problem in problems] == [str(photos / "1.png"), str(photos / "2.png")]
    index.repair(full=True)
    assert index.check(full=True) == []
    assert index.counts().files == 3


def test_a_damaged_database_is_not_to_be_deleted_with_the_uploads(tmp_path):
    from imgindex.storage.sqlite_errors import sentence_of

    told = str(sentence_of(Exception("database disk image is malformed"), tmp_path / "index.db"))
    assert "delete nothing" in told
    assert "restore it from a backup" in told
