"""Nothing that was added is lost: kill -9, Ctrl-C, full disks, damaged files, several programs at once."""

import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from imgindex import ImageIndex, ImgindexError, IndexFormatError, ModelMismatchError, StorageError
from imgindex.search import projection as space
from imgindex.search.faiss_file import FaissFile
from imgindex.search.neighbours import Neighbours
from imgindex.storage.database import sqlite3
from imgindex.storage.storage import Storage
from tests.conftest import write_picture
from tests.support import ATTACK
from tests.support.embedders import FakeEmbedder
from tests.support.processes import Adders, Job, fill

KILLS = 100 if ATTACK else 30
PICTURES = 320  # the compare space is fitted at 200 and at 300


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """A folder of PICTURES different pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(PICTURES):
        write_picture(folder / f"{seed:03}.png", seed)
    return folder


def expected(folder: Path) -> dict[str, np.ndarray]:
    """What each picture's embedding must be."""
    paths = sorted(str(path) for path in folder.rglob("*.png"))
    pixels = [cv2.resize(cv2.imread(path), (16, 16), interpolation=cv2.INTER_AREA)[:, :, ::-1] for path in paths]
    return dict(zip(paths, FakeEmbedder().embed(np.stack(pixels)), strict=True))


def verify(folder: Path, embeddings: dict[str, np.ndarray], acknowledged: set[str]) -> int:
    """Check an index of different pictures from all sides; returns how many it holds."""
    with ImageIndex(folder, embedder=FakeEmbedder()) as index:
        assert index.check() == []
        counts = index.counts()
        assert index.duplicates.find().redundant == 0
        assert index.check(full=True) == []
    store = Storage.open(folder / "index.db")
    files = store.images.files_below("/")
    assert acknowledged <= {file.path for file in files}
    assert len(files) == counts.files == counts.images
    ids, vectors = store.embeddings.of([file.image for file in files])
    assert ids.tolist() == store.embeddings.ids().tolist() == sorted(file.image for file in files)
    rows = {int(image): vector for image, vector in zip(ids, vectors, strict=True)}
    for file in files:
        assert np.array_equal(rows[file.image], embeddings[file.path])
    for file, project in (("vectors.faiss", space.likeness), ("copies.faiss", space.copies)):
        neighbours = Neighbours(store, FaissFile(folder / file), project)
        if len(ids):
            found, likeness = neighbours.search(vectors, len(ids))
            assert found[:, 0].tolist() == ids.tolist()
            assert likeness[:, 0].min() > 0.999
            assert sorted(found[0].tolist()) == ids.tolist()
        assert neighbours.problems() == []
    store.close()
    return counts.files


def moment(dice: random.Random) -> tuple[str, int, float]:
    """When to kill: seconds after the nth time that a child tells of something."""
    return dice.choice(
        [
            ("start", 0, dice.uniform(0, 0.4)),
            ("commit", dice.randint(1, 12), dice.uniform(0, 0.003)),
            ("save", dice.randint(1, 12), dice.uniform(0, 0.004)),
            ("fit", 1, dice.uniform(0, 0.015)),
        ]
    )


@pytest.mark.attack
def test_kill_at_any_moment_loses_nothing(adders, pictures, tmp_path):
    dice = random.Random(int(os.environ.get("CRASH_SEED", "1")))
    embeddings = expected(pictures)
    kills: Counter[str] = Counter()
    partial, number = 0, 0
    while kills.total() < KILLS or not partial:
        number += 1
        folder, acknowledged, held = tmp_path / f"index{number}", set(), 0
        while held < PICTURES:
            word, nth, delay = moment(dice)
            singly = word != "fit" and dice.random() < 0.5
            arguments = {"paths": dice.sample(sorted(embeddings), PICTURES)} if singly else {"paths": [pictures]}
            job = adders.start("singly" if singly else "bulk", index=folder, traced=True, **arguments)
            job.listen(lambda job=job, word=word, nth=nth: len(job.told(word)) >= nth, 60)
            job.listen(seconds=delay)
            os.kill(job.pid, signal.SIGKILL)
            killed = job.wait() == -signal.SIGKILL
            assert killed or job.code == 0, job.errors
            assert "Traceback" not in job.errors
            acknowledged |= set(job.told("ack"))
            partial += (folder / "vectors.faiss.part").exists()
            kills[word] += killed
            held, before = verify(folder, embeddings, acknowledged), held
            assert held >= max([before, *map(int, job.told("done"))])
            assert killed or held == PICTURES
        assert Storage.open(folder / "index.db").embeddings.state().fitted >= 200
    print(f"{dict(kills)} kills, {partial} of them inside a save, {number} indexes")
    assert min(kills[word] for word in ("start", "commit", "save", "fit")) >= 5
    assert partial


@pytest.mark.parametrize("each", [*[4] * 12, 150, 150])  # noqa: PT014
def test_two_adders_and_a_reader_share_a_new_index(adders, pictures, tmp_path, each):
    """Both add `each` pictures of their own and as many common ones; small rounds are about beginning the index."""
    index, stop = tmp_path / "index", tmp_path / "stop"
    paths = sorted(pictures.iterdir())
    own, common = [paths[:each], paths[each : 2 * each]], paths[-each:]
    begin = time.time() + 0.1
    jobs = [adders.start("bulk", index=index, paths=mine + common, at=begin) for mine in own]
    reader = adders.start("read", index=index, stop=stop, at=begin)
    codes = [job.wait() for job in jobs]
    stop.touch()
    codes.append(reader.wait())
    assert [job.errors for job in (*jobs, reader)] == ["", "", ""]
    assert codes == [0, 0, 0]
    assert int(reader.told("rounds")[0]) >= 1
    added = [list(map(int, job.told("added")[0].split())) for job in jobs]
    assert [failed for _, failed, _, _ in added] == [0, 0]
    total = len({*own[0], *own[1], *common})
    assert max(files for *_, files in added) == total
    assert verify(index, expected(pictures), {str(path) for path in (*own[0], *own[1], *common)}) == total


def test_adding_beside_forgetting(adders, pictures, tmp_path):
    index, stop = tmp_path / "index", tmp_path / "stop"
    paths = sorted(pictures.iterdir())[:60]
    jobs = [
        adders.start("churn", index=index, paths=paths[:30], rounds=25),
        adders.start("churn", index=index, paths=paths[30:], rounds=25),
    ]
    reader = adders.start("read", index=index, stop=stop, gone=True)
    assert [job.wait() for job in jobs] == [0, 0], [job.errors for job in jobs]
    stop.touch()
    assert reader.wait() == 0, reader.errors
    assert verify(index, expected(pictures), set()) == 0


# Damaged files


@pytest.fixture(scope="module")
def built(pictures, tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("built") / "index"
    with ImageIndex(folder, embedder=FakeEmbedder()) as index:
        index.add(sorted(pictures.iterdir())[:300])
    return folder


@pytest.fixture
def whole(built, tmp_path) -> Path:
    """The folder of an index of 300 pictures."""
    return Path(shutil.copytree(built, tmp_path / "whole"))


def answers(folder: Path) -> list[Any]:
    with ImageIndex(folder, embedder=FakeEmbedder()) as index:
        ids = range(1, 301)
        return [index.similar(image, k=5).results for image in ids[::30]]


def flip(file: Path, bit: int) -> None:
    data = bytearray(file.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    file.write_bytes(data)


def spoil(file: Path, how: str, dice: random.Random) -> None:
    size = file.stat().st_size
    if how == "deleted":
        file.unlink()
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "cut short":
        os.truncate(file, dice.randrange(size))
    elif how == "first bit":
        flip(file, 0)
    elif how == "last bit":
        flip(file, 8 * size - 1)
    elif how == "a folder":
        file.unlink()
        file.mkdir()
    elif how == "other bytes":
        file.write_bytes(dice.randbytes(size))
    else:
        flip(file, dice.randrange(8 * size))


DAMAGE = ["deleted", "empty", *["cut short"] * 5, "first bit", "last bit", "other bytes", *["one bit"] * 15]


@pytest.mark.parametrize("seed", range(len(DAMAGE)))
def test_a_damaged_vector_file_is_noticed_and_made_anew(whole, seed):
    file, before = whole / "vectors.faiss", answers(whole)
    spoil(file, DAMAGE[seed], random.Random(seed))
    spoiled = file.read_bytes() if file.exists() else None
    with ImageIndex(whole, embedder=FakeEmbedder()) as index:
        assert bool(index.check()) == (spoiled is not None)
    assert answers(whole) == before
    assert file.read_bytes() != spoiled
    with ImageIndex(whole, embedder=FakeEmbedder()) as index:
        assert index.check() == []


def test_the_vector_file_of_another_index_is_not_taken(whole, pictures, tmp_path):
    before = answers(whole)
    with ImageIndex(tmp_path / "other", embedder=FakeEmbedder()) as other:
        other.add(sorted(pictures.iterdir())[::-1][:300])
    shutil.copy(tmp_path / "other" / "vectors.faiss", whole)
    with ImageIndex(whole, embedder=FakeEmbedder()) as index:
        assert len(index.check()) == 1
    assert answers(whole) == before
    with ImageIndex(whole, embedder=FakeEmbedder()) as index:
        assert index.check() == []


def test_a_vector_file_with_another_stamp_is_made_anew(whole):
    """As another version of imgindex may have written it."""
    before = answers(whole)
    file = FaissFile(whole / "vectors.faiss")
    kept = file.load()
    assert kept is not None
    file.save(kept[0], {"version": 2})
    with ImageIndex(whole, embedder=FakeEmbedder()) as index:
        assert len(index.check()) == 1
    assert answers(whole) == before


@pytest.mark.parametrize("held", [10, 150, 250, 299])
def test_an_older_vector_file_is_caught_up(pictures, tmp_path, held):
    paths = sorted(pictures.iterdir())
    with ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as index:
        index.add(paths[:held])
        shutil.copy(tmp_path / "index" / "vectors.faiss", tmp_path)
        index.add(paths[held:])
        index.remove(paths[:5])
    shutil.copy(tmp_path / "vectors.faiss", tmp_path / "index")
    with ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as index:
        assert index.check() == []
    assert verify(tmp_path / "index", expected(pictures), set(map(str, paths[5:]))) == PICTURES - 5


@pytest.mark.parametrize("held", [50, 190, 250])
@pytest.mark.parametrize("look_first", [True, False])
def test_an_older_database_beside_a_newer_vector_file(pictures, tmp_path, held, look_first):
    """A restored database goes its own way; the ids that it gives again belong to other pictures now."""
    paths, index = sorted(pictures.iterdir()), tmp_path / "index"
    with ImageIndex(index, embedder=FakeEmbedder()) as opened:
        opened.add(paths[:held])
    shutil.copy(index / "index.db", tmp_path)
    with ImageIndex(index, embedder=FakeEmbedder()) as opened:
        opened.add(paths[held:310])
    shutil.copy(tmp_path / "index.db", index)
    known = held
    if look_first:
        with ImageIndex(index, embedder=FakeEmbedder()) as opened:
            assert len(opened.check()) == 2  # one a file
            assert len(opened.similar(1, k=PICTURES).results) == held - 1
            opened.repair()  # that needed one file only
        assert verify(index, expected(pictures), set(map(str, paths[:held]))) == held
    else:
        with ImageIndex(index, embedder=FakeEmbedder()) as opened:
            opened.add(paths[: held - 1 : -1])
        known = PICTURES
    assert verify(index, expected(pictures), set(map(str, paths[:known]))) == known


# Other files in its place


def refuses(adders: Adders, folder: Path, error: type[ImgindexError], *words: str) -> None:
    """Neither library nor command line opens it; both say why in a sentence and change nothing."""
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(error) as raised:
        ImageIndex(folder, embedder=FakeEmbedder())
    job = adders.run("add", folder.parent, "--index", folder)
    said = " ".join(filter(None, (str(raised.value), raised.value.hint)))
    assert (job.code, job.errors) == (1, f"imgindex: {said}\n")
    for word in words:
        assert word in job.errors
    assert {path: path.read_bytes() for path in folder.iterdir() if path in before} == before


def test_a_newer_index_is_refused(adders, whole):
    with sqlite3.connect(whole / "index.db") as database:
        database.execute("INSERT INTO _sqlite_migrations VALUES (99, 'imgindex', 'm099_later', '2030-01-01')")
    database.close()
    refuses(adders, whole, IndexFormatError, "newer", "upgrade")


@pytest.mark.parametrize("content", [b"hello\n", b"not a database\n" * 1000, bytes(5000)])
def test_a_file_that_is_no_database_is_refused(adders, tmp_path, content):
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "index.db").write_bytes(content)
    refuses(adders, tmp_path / "index", IndexFormatError, "not an imgindex database")


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_foreign_database_is_refused(adders, tmp_path, mode):
    (tmp_path / "index").mkdir()
    with sqlite3.connect(tmp_path / "index" / "index.db") as database:
        database.execute(f"PRAGMA journal_mode = {mode}")
        database.execute("CREATE TABLE images (id INTEGER)")
    database.close()
    refuses(adders, tmp_path / "index", IndexFormatError, "not an imgindex database")


def test_a_folder_in_place_of_the_database_is_refused(adders, tmp_path):
    (tmp_path / "index" / "index.db").mkdir(parents=True)
    with pytest.raises(StorageError):
        ImageIndex(tmp_path / "index")
    job = adders.run("add", tmp_path, "--index", tmp_path / "index")
    assert (job.code, job.errors.count("\n")) == (1, 1)


def test_another_model_is_refused(adders, whole, pictures):
    for embedder in FakeEmbedder("other"), FakeEmbedder(weights="1" * 64):
        with pytest.raises(ModelMismatchError):
            ImageIndex(whole, embedder=embedder)
    job = adders.run("add", pictures, "--index", whole, "--model", "other")
    assert job.code == 1
    assert job.errors.startswith("imgindex: ")
    assert "other" in job.errors
    assert job.errors.count("\n") == 1


@pytest.mark.attack
@pytest.mark.parametrize("seed", range(460 if ATTACK else 40))
def test_a_damaged_database_is_a_sentence(whole, pictures, seed):
    """Whatever is overwritten: an answer or an ImgindexError, and it is not quietly lost where SQLite can tell."""
    dice, file = random.Random(seed), whole / "index.db"
    data = bytearray(file.read_bytes())
    page = 0 if seed < 10 else 4096 * dice.randrange(len(data) // 4096)
    if seed % 2:
        data[page : page + 4096] = dice.randbytes(4096)
    else:
        for _ in range(30):
            data[page + dice.randrange(512 if seed % 4 else 4096)] = dice.randrange(256)
    file.write_bytes(data)
    queries: list[Callable[[ImageIndex], Any]] = [
        lambda index: index.similar(7),
        lambda index: index.duplicates.find(),
        lambda index: index.check(),
        lambda index: index.missing(),
        lambda index: index.remove([8]),
        lambda index: index.add(sorted(pictures.iterdir())[:3]),
        lambda index: index.repair(),
    ]
    for query in queries:
        try:
            with ImageIndex(whole, embedder=FakeEmbedder()) as index:
                query(index)
        except ImgindexError as error:
            assert str(error).endswith(".")  # noqa: PT017


# Full, read-only and forbidden disks


def one_sentence(job: Job, *words: str) -> None:
    lines = [line for line in job.errors.splitlines() if not line.startswith("Fitted compare space")]
    assert job.code == 1
    assert len(lines) == 1
    assert lines[0].startswith("imgindex: ")
    for word in words:
        assert word in lines[0]


def test_a_full_disk_stops_in_a_sentence_and_goes_on_later(adders, pictures, mounted):
    """At every size, so that creation, commits, checkpoints and the vector file all meet the end of the disk."""
    embeddings, failures = expected(pictures), []
    for pages in range(1, 200, 14):
        disk = mounted(f"size={4 * pages}k")
        index = disk / "index"
        job = adders.run("add", pictures, "--index", index)
        if job.code:
            one_sentence(job, "free ", " space" if "is full" in job.errors else "No space left")
            failures.append(job.errors)
        mounted("size=8m")
        if (index / "index.db").exists():
            verify(index, embeddings, set())
        job = adders.run("add", pictures, "--index", index)
        assert job.code == 0, job.errors
        assert verify(index, embeddings, set()) == PICTURES
        shutil.rmtree(index)
        mounted("size=4k")
    assert len(failures) >= 6


def test_no_room_for_the_vector_file_only(adders, pictures, mounted):
    disk = mounted("size=8m")
    job = adders.run("add", pictures, "--index", disk / "index")
    query = adders.run("similar", "--id", 1, "--json", "--index", disk / "index")
    assert (job.code, query.code, query.errors) == (0, 0, "")
    (disk / "index" / "vectors.faiss").unlink()
    filler = fill(disk, 40 << 10)  # for SQLite's shared memory, not for the vectors
    full = adders.run("similar", "--id", 1, "--json", "--index", disk / "index")
    assert (full.code, full.lines) == (0, query.lines)
    assert not list((disk / "index").glob("vectors*"))
    one_sentence(adders.run("add", pictures, "--index", disk / "index"), "vectors.faiss", "No space left")
    filler.unlink()
    assert adders.run("add", pictures, "--index", disk / "index").code == 0
    assert (disk / "index" / "vectors.faiss").exists()
    assert verify(disk / "index", expected(pictures), set()) == PICTURES


def test_a_read_only_disk_is_a_sentence(adders, pictures, mounted):
    disk = mounted("size=8m")
    paths = sorted(pictures.iterdir())
    assert adders.run("add", *paths[:10], "--index", disk / "index").code == 0
    mounted("ro")
    one_sentence(adders.run("add", pictures, "--index", disk / "index"), str(disk))
    one_sentence(adders.run("add", pictures, "--index", disk / "new"), str(disk))
    mounted("rw")
    assert adders.run("add", pictures, "--index", disk / "index").code == 0
    assert verify(disk / "index", expected(pictures), set()) == PICTURES


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
def test_a_forbidden_folder_is_a_sentence(adders, pictures):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        index = Path(folder) / "index"
        assert adders.run("add", *sorted(pictures.iterdir())[:10], "--index", index).code == 0
        (pictures / "000.png").chmod(0o644)
        for user in range(65534, 65536):
            for place in index, Path(folder) / "new", index / "index.db" / "inside":
                one_sentence(adders.run("add", folder, "--index", place, user=user), str(place))
        assert verify(index, expected(pictures), set()) == 10


# Processes


def processes() -> dict[int, tuple[int, str]]:
    """Parent and start time of each live process."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            found[int(status.parent.name)] = int(fields[1]), fields[19]
    return found


def children(pid: int) -> dict[int, str]:
    return {child: begun for child, (parent, begun) in processes().items() if parent == pid}


def gone(pids: dict[int, str], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        alive = processes()
        if not any(pid in alive and alive[pid][1] == begun for pid, begun in pids.items()):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("batches", [1, 2, 3, 5, 8])
def test_ctrl_c_keeps_what_was_done(adders, pictures, tmp_path, batches):
    index = tmp_path / "index"
    job = adders.start("command", arguments=["add", str(pictures), "--index", str(index)], inline=False, slow=0.05)
    assert job.listen(lambda: len(job.told("embed")) >= batches, 60)
    job.listen(seconds=random.uniform(0, 0.05))
    decoders = children(job.pid)
    os.killpg(job.pid, signal.SIGINT)
    job.wait()
    one_sentence(job, "Stopped; ", "safe")
    assert decoders
    assert gone(decoders, 0.5)
    said = int(job.errors.split("Stopped; ")[1].split()[0])
    assert verify(index, expected(pictures), set()) == said


@pytest.mark.parametrize("milliseconds", [0, 5, 20, 50])
def test_ctrl_c_before_the_first_picture(adders, pictures, tmp_path, milliseconds):
    index = tmp_path / "index"
    job = adders.start("command", arguments=["add", str(pictures), "--index", str(index)], inline=False, slow=0.2)
    end = time.monotonic() + 60
    while not index.exists() and time.monotonic() < end:
        time.sleep(0.001)
    job.listen(seconds=milliseconds / 1000)
    os.killpg(job.pid, signal.SIGINT)
    assert job.wait() == 1
    assert "Traceback" not in job.errors
    assert adders.run("add", pictures, "--index", index).code == 0
    assert verify(index, expected(pictures), set()) == PICTURES


def test_kill_leaves_no_decoders(adders, pictures, tmp_path):
    for delay in 0.0, 0.01, 0.1:
        job = adders.start(
            "bulk", index=tmp_path / f"index{delay}", paths=[pictures], inline=False, traced=True, slow=0.05
        )
        assert job.listen(lambda job=job: len(job.told("commit")) > 4, 60)
        job.listen(seconds=delay)
        decoders = children(job.pid)
        os.kill(job.pid, signal.SIGKILL)
        job.wait()
        assert decoders
        assert gone(decoders)
