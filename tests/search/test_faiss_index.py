"""FAISS: what an inverted file saves, and the file that keeps an index."""

import fcntl
import hashlib
import random
from pathlib import Path

import faiss
import numpy as np
import pytest

from imgindex.errors import StorageError
from imgindex.search.faiss_file import LENGTH, FaissFile
from imgindex.search.faiss_index import FaissIndex, Sizing
from imgindex.search.vector_index import DamagedIndexError
from tests.support.vectors import unit


def small(path: Path) -> FaissFile:
    """A saved file of three vectors."""
    file = FaissFile(path)
    index = file.empty()
    index.upsert(np.arange(3), unit(3, 4))
    file.save(index, {"generation": 1})
    return file


def test_a_large_index_needs_less_memory():
    rows = unit(3000, 64)
    exact, approximate = FaissIndex(), FaissIndex(Sizing(exact_up_to=1000))
    for index in (exact, approximate):
        index.upsert(np.arange(3000), rows)
    sizes = [len(index.to_bytes()) for index in (exact, approximate)]
    assert sizes[1] < 0.6 * sizes[0]  # the lists' centres weigh more in so small a one


def test_a_share_of_the_lists_finds_nearly_all():
    rows = np.concatenate([unit(3000, 64)] * 2) + 0.3 * unit(6000, 64, seed=1)  # alike in pairs, as pictures are
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index = FaissIndex(Sizing(exact_up_to=1000))
    index.upsert(np.arange(6000), rows)
    found, _ = index.search(rows[:3000], 2)
    assert (found == np.arange(3000, 6000)[:, None]).any(axis=1).mean() >= 0.98


def test_plain_faiss_reads_the_file(tmp_path):
    small(tmp_path / "v")
    assert faiss.read_index(str(tmp_path / "v")).ntotal == 3
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


def test_a_file_that_another_process_saves_is_left_to_it(tmp_path):
    file = small(tmp_path / "v")
    before = (tmp_path / "v").read_bytes()
    with open(tmp_path / "v.part", "ab") as partial:
        fcntl.flock(partial, fcntl.LOCK_EX)
        file.save(file.empty(), {"generation": 2})
        assert (tmp_path / "v").read_bytes() == before
    file.save(file.empty(), {"generation": 2})
    assert (tmp_path / "v").read_bytes() != before


def test_a_file_that_cannot_be_written_is_said_in_a_sentence(tmp_path):
    file = FaissFile(tmp_path / "away" / "v")
    with pytest.raises(StorageError, match=r"v cannot be written .* every image is safe in the database"):
        file.save(file.empty(), {})
    (tmp_path / "v").mkdir()
    with pytest.raises(StorageError, match="cannot be replaced"):
        FaissFile(tmp_path / "v").discard()
    with pytest.raises(DamagedIndexError):
        FaissFile(tmp_path / "v").load()


def test_every_flipped_bit_is_noticed(tmp_path):
    file = small(tmp_path / "v")
    whole = (tmp_path / "v").read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        (tmp_path / "v").write_bytes(damaged)
        with pytest.raises(DamagedIndexError):
            file.load()
    for length in range(len(whole)):
        (tmp_path / "v").write_bytes(whole[:length])
        with pytest.raises(DamagedIndexError):
            file.load()


# Files that somebody sent: their checksum is right


def forged(path: Path, body: bytes, note: bytes = b'{"generation": 1}') -> FaissFile:
    data = body + note + LENGTH.pack(len(note))
    path.write_bytes(data + hashlib.sha256(data).digest())
    return FaissFile(path)


def on_disk(folder: Path) -> bytes:
    """An inverted file whose lists FAISS keeps in another file."""
    rows = unit(400, 8)
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(8), 8, 10, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    index.train(rows)
    lists = faiss.OnDiskInvertedLists(10, index.code_size, str(folder / "victim"))
    index.replace_invlists(lists)
    index.add_with_ids(rows, np.arange(400))
    data: bytes = faiss.serialize_index(index).tobytes()
    return data


def test_an_index_that_names_another_file_is_not_read(tmp_path):
    body = on_disk(tmp_path)
    (tmp_path / "victim").write_bytes(b"precious")
    with pytest.raises(DamagedIndexError, match="a type that imgindex does not write"):
        forged(tmp_path / "vectors.faiss", body).load()
    assert (tmp_path / "victim").read_bytes() == b"precious"


@pytest.mark.parametrize(
    "kind", ["Flat", "HNSW8", "IVF4,Flat", "IDMap2,HNSW8", "IDMap,Flat", "IVF4_HNSW8,SQfp16", "SQ8"]
)
def test_other_types_are_not_read(tmp_path, kind):
    index = faiss.index_factory(8, kind, faiss.METRIC_INNER_PRODUCT)
    index.train(unit(400, 8))
    with pytest.raises(DamagedIndexError, match="a type that imgindex does not write"):
        forged(tmp_path / "vectors.faiss", faiss.serialize_index(index).tobytes()).load()


def test_a_longer_header_hides_no_other_type(tmp_path):
    """That of another metric has 4 bytes more, in which the letters of a type may stand."""
    inner = on_disk(tmp_path)
    header = bytearray(faiss.serialize_index(faiss.IndexIDMap2(faiss.IndexFlatIP(8))).tobytes()[:37])
    header[33:37] = (2).to_bytes(4, "little")
    (tmp_path / "victim").write_bytes(b"precious")
    with pytest.raises(DamagedIndexError, match="a type that imgindex does not write"):
        forged(tmp_path / "vectors.faiss", bytes(header) + b"IxFI" + inner + bytes(8)).load()
    assert (tmp_path / "victim").read_bytes() == b"precious"


@pytest.mark.parametrize("exact_up_to", [10, 1000])
def test_whatever_is_cut_off_or_overwritten_is_damage_or_numbers(tmp_path, exact_up_to):
    index, dice, loaded = FaissIndex(Sizing(exact_up_to=exact_up_to)), random.Random(5), 0
    index.upsert(np.arange(400), unit(400, 8))
    body = bytes(index.to_bytes())
    assert forged(tmp_path / "vectors.faiss", body).load() is not None
    for number in range(200):
        spoiled = bytearray(body)
        at, size = dice.randrange(len(body) if number % 2 else 120), dice.choice((1, 4, 8))
        spoiled[at : at + size] = dice.randbytes(size)
        del spoiled[dice.choice((len(body), dice.randrange(len(body)))) :]
        try:
            found = forged(tmp_path / "vectors.faiss", bytes(spoiled)).load()
        except DamagedIndexError:
            continue
        loaded += 1
        assert found is not None
        if found[0].dimension == 8:  # another one is refused by who opens it
            assert len(found[0].ids()) == sum(len(ids) for ids, _ in found[0].scan())
            assert found[0].search(unit(2, 8), 3)[0].shape == (2, 3)
    assert 0 < loaded < 200


@pytest.mark.parametrize("note", [b"", b"{", b"[" * 9999, b"\xff"])
def test_a_stamp_that_is_no_json_is_damage(tmp_path, note):
    index = FaissIndex()
    index.upsert(np.arange(3), unit(3, 4))
    with pytest.raises(DamagedIndexError):
        forged(tmp_path / "vectors.faiss", bytes(index.to_bytes()), note).load()
