"""Pictures that come as bytes, and what an index offers to a program that shows them."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from imgindex import FileGoneError, ImageIndex, NotIndexedError, UnreadablePictureError
from tests.conftest import FakeEmbedder, write_picture


@pytest.fixture
def index(tmp_path, embedder):
    with ImageIndex(tmp_path / "index", embedder=embedder) as index:
        yield index


def keep(index, *pictures: bytes) -> list[int]:
    received = [index.uploads.decode(data) for data in pictures]
    return [image for image, _ in index.uploads.add(received, index.uploads.embed(received))]


def picture(folder, seed: int, name: str = "") -> bytes:
    return write_picture(folder / (name or f"{seed}.png"), seed).read_bytes()


def test_a_picture_is_kept_under_its_sha256(index, tmp_path):
    data = picture(tmp_path, 1)
    (image,) = keep(index, data)
    entry = index.images.get(image)
    (path,) = entry.paths
    assert path == str(index.folder / "uploads" / f"{entry.sha256.hex()}.png")
    assert Path(path).read_bytes() == data
    assert (entry.width, entry.height, entry.bytes, entry.theme) == (32, 32, len(data), None)
    assert index.similar(image).results == []
    assert index.check() == []


def test_known_bytes_need_no_model(index, tmp_path, embedder):
    data = picture(tmp_path, 1)
    (image,) = keep(index, data)
    again = index.uploads.decode(data)
    assert (again.image, again.decoded, embedder.embedded) == (image, None, 1)


def test_a_picture_whose_file_is_gone_is_new(index, tmp_path):
    data = picture(tmp_path, 1)
    (image,) = keep(index, data)
    os.unlink(index.images.get(image).paths[0])
    with pytest.raises(FileGoneError, match=f"No file of image {image} is as it was indexed"):
        index.images.original(image)
    assert keep(index, data) == [image]
    assert index.images.original(image).media_type == "image/png"


def test_what_is_no_picture_is_refused_and_not_kept(index):
    with pytest.raises(UnreadablePictureError, match=r"."):
        index.uploads.decode(b"GIF8 <script>")
    assert not (index.folder / "uploads").exists()


def test_all_or_none(index, tmp_path, monkeypatch):
    received = [index.uploads.decode(picture(tmp_path, seed)) for seed in (1, 2)]
    vectors = index.uploads.embed(received)
    monkeypatch.setattr(index._placement, "place", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        index.uploads.add(received, vectors)
    assert index.counts().images == 0


def test_sync_takes_what_a_killed_server_left(index, tmp_path):
    keep(index, picture(tmp_path, 1))
    (index.folder / "uploads" / "left.png").write_bytes(picture(tmp_path, 2))
    assert index.sync().added == 1


def test_removing_an_upload_deletes_its_file_only(index, photos, tmp_path):
    index.add([photos])
    (image,) = keep(index, picture(tmp_path, 9))
    (path,) = index.images.get(image).paths
    index.remove([image, photos])
    assert not os.path.exists(path)
    assert len(list(photos.iterdir())) == 5


def test_an_upload_and_a_file_with_the_same_bytes_are_one_image(index, tmp_path):
    (image,) = keep(index, picture(tmp_path, 1))
    index.add([tmp_path / "1.png"])
    assert {path: index.uploads.owns(path) for path in index.images.get(image).paths} == {
        str(tmp_path / "1.png"): False,
        str(index.folder / "uploads" / f"{index.images.get(image).sha256.hex()}.png"): True,
    }  # fmt: skip
    index.remove([image])
    assert (tmp_path / "1.png").exists()


def test_similar_by_vector_theme_and_least(index, photos):
    index.add([photos])
    index.themes.recluster(2)
    vector = index._store.embeddings.of([1])[1][0]
    found = index.similar(vector)
    assert (found.id, found.path, found.results[0].id) == (None, None, 1)
    best = index.similar(1, k=4).results
    assert index.similar(1, at_least=best[1].similarity).results == best[:2]
    for theme in index.themes.current().themes:
        inside = {member.id for member in theme.images}
        assert [hit for hit in best if hit.id in inside] == index.similar(1, k=4, theme=theme.id).results
    with pytest.raises(NotIndexedError, match="no theme 99"):
        index.similar(1, theme=99)


def test_entries_come_newest_first_page_by_page(index, photos):
    index.add([photos])
    index.themes.recluster(2)
    assert [entry.id for entry in index.images.list(limit=2)] == [5, 4]
    assert [entry.id for entry in index.images.list(limit=2, before=4)] == [3, 2]
    theme = index.themes.current().themes[0]
    assert {entry.id for entry in index.images.list(theme=theme.id)} == {member.id for member in theme.images}
    for image in (0, -1, 6, 2**63 - 1, 2**70):
        with pytest.raises(NotIndexedError):
            index.images.get(image)


def test_a_page_of_entries_is_of_one_moment(index, photos, monkeypatch):
    """Another process may remove what is on it."""
    odd = os.fsencode(photos) + b"/\xff.png"
    os.link(photos / "4.png", odd)
    index.add([photos])
    rows = index._store.images._rows

    def removing(*query):
        found = rows(*query)
        with ImageIndex(index.folder, embedder=FakeEmbedder()) as other:
            if other.counts().images == 5:
                other.remove([4])
        return found

    monkeypatch.setattr(index._store.images, "_rows", removing)
    entries = index.images.list(limit=3)
    assert [entry.id for entry in entries] == [5, 4, 3]
    assert entries[0].paths == (str(photos / "4.png"), os.fsdecode(odd))
    monkeypatch.undo()
    index._store.database.write("DELETE FROM files WHERE image = 3", [()])  # a damaged one does not shorten it
    assert [entry.id for entry in index.images.list(limit=3)] == [5, 2, 1]


def test_an_original_is_what_was_indexed(index, tmp_path):
    path = write_picture(tmp_path / "a.jpg", 1)
    index.add([path])
    assert (index.images.original(1).path, index.images.original(1).media_type) == (str(path), "image/jpeg")
    secret = tmp_path / "secret"
    secret.write_text("not to be served")
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(FileGoneError):
        index.images.original(1)


def test_the_version_changes_with_the_index_only(index, tmp_path):
    before = index.version()
    assert index.version() == before
    keep(index, picture(tmp_path, 1))
    after = index.version()
    assert after != before
    index.images.list()
    assert index.version() == after
    with ImageIndex(index.folder, embedder=FakeEmbedder()) as other:
        other.remove([1])
    assert index.version() != after


def test_a_preview_is_not_kept(index, photos):
    index.add([photos])
    assert index.reports.preview().files == 5
    assert index.reports.history() == []
    kept = index.reports.make()
    assert [(past.created, past.files, past.percent) for past in index.reports.history()] == [(kept.created, 5, 0.0)]
    assert index.reports.preview().since_last.created == kept.created


def test_a_thumbnail_has_the_pictures_shape(index, tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((50, 200, 3), np.uint8))
    index.add([tmp_path / "wide.png"])
    shown = cv2.imdecode(np.frombuffer(index.images.thumbnail(1), np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (80, 320, 3)
    cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((51, 200, 3), np.uint8))
    with pytest.raises(FileGoneError):
        index.images.thumbnail(1)


def test_a_preview_is_of_any_file_that_is_as_indexed(index, tmp_path):
    one, two = write_picture(tmp_path / "1.png", 1), write_picture(tmp_path / "2.png", 1)
    index.add([one, two])
    before = index.images.thumbnail(1)
    write_picture(one, 2)
    assert index.images.thumbnail(1) == before
    one.unlink()
    assert index.images.thumbnail(1) == before
    two.unlink()
    with pytest.raises(FileGoneError, match="No file of image 1 is as it was indexed"):
        index.images.thumbnail(1)
    for image in (2, 2**70):
        with pytest.raises(NotIndexedError):
            index.images.thumbnail(image)


def test_many_threads_share_an_index(index, tmp_path):
    pictures = [picture(tmp_path, seed) for seed in range(40)]
    keep(index, *pictures[:5])
    stop = threading.Event()
    failed: list[BaseException] = []

    def read() -> None:
        while not stop.is_set():
            found = index.similar(1, k=50).results
            if not all(hit.similarity <= 1 for hit in found):
                failed.append(AssertionError(found))

    with ThreadPoolExecutor(8) as threads:
        readers = [threads.submit(read) for _ in range(3)]
        ids = [image for got in threads.map(lambda data: keep(index, data), pictures[5:]) for image in got]
        stop.set()
        for reader in readers:
            reader.result()
    assert failed == []
    assert len(set(ids)) == 35
    assert {hit.id for hit in index.similar(1, k=50).results} == set(range(2, 41))
    assert index.check() == []
