"""VectorIndex: exact, approximate, saved."""

import faiss
import numpy as np
import pytest

from imgindex.search import faiss_index as vectors
from imgindex.search.faiss_index import DamagedFileError, VectorIndex


def unit(count: int, dimension: int = 16, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(params=["exact", "approximate"])
def filled(request, monkeypatch) -> tuple[VectorIndex, np.ndarray, np.ndarray]:
    if request.param == "approximate":
        monkeypatch.setattr(vectors, "EXACT_UP_TO", 1000)
        monkeypatch.setattr(vectors, "VISITED", 1)  # so that only the codes are approximate
    ids, rows = np.arange(3000) * 7 + 3, unit(3000)
    index = VectorIndex()
    index.upsert(ids, rows)
    return index, ids, rows


def test_search_finds_the_nearest(filled):
    index, ids, rows = filled
    queries = unit(50, seed=1)
    found, cosines = index.search(queries, 10)
    truth = np.argsort(-queries @ rows.T, axis=1)[:, :10]
    recall = np.mean([len({*a} & {*b}) / 10 for a, b in zip(found, ids[truth], strict=True)])
    assert recall >= 0.99
    assert np.all(np.diff(cosines, axis=1) <= 0)
    assert np.allclose(cosines[:, 0], np.max(queries @ rows.T, axis=1), atol=0.002)


def test_upsert_replaces_and_delete_forgets(filled):
    index, ids, rows = filled
    index.upsert(ids[:2], rows[:2][::-1])
    assert len(index) == 3000
    assert index.search(rows[:2], 1)[0].ravel().tolist() == ids[:2][::-1].tolist()
    index.delete(np.array([ids[0], ids[5], 999_999]))
    assert index.ids().tolist() == sorted({*ids.tolist()} - {ids[0], ids[5]})
    assert ids[5] not in index.search(rows[5:6], 10)[0]


def test_scan_gives_everything_back(filled):
    index, ids, rows = filled
    scanned = {int(one): row for part, vectors in index.scan() for one, row in zip(part, vectors, strict=True)}
    assert sorted(scanned) == ids.tolist()
    assert np.allclose(np.stack([scanned[int(one)] for one in ids]), rows, atol=0.002)


def test_k_beyond_all_gives_all(filled):
    index, ids, rows = filled
    assert sorted(index.search(rows[:1], 10_000)[0][0]) == ids.tolist()


def test_a_large_index_needs_less_memory(monkeypatch):
    rows = unit(3000, 64)
    exact, approximate = VectorIndex(), VectorIndex()
    exact.upsert(np.arange(3000), rows)
    monkeypatch.setattr(vectors, "EXACT_UP_TO", 1000)
    approximate.upsert(np.arange(3000), rows)
    sizes = [len(faiss.serialize_index(index._index)) for index in (exact, approximate)]
    assert sizes[1] < 0.6 * sizes[0]  # the lists' centres weigh more in so small a one


def test_an_empty_index_answers(tmp_path):
    index = VectorIndex()
    index.delete(np.array([1]))
    assert index.search(unit(2, 4), 3)[0].shape == (2, 0)
    index.save(tmp_path / "v", {})
    assert len(VectorIndex.load(tmp_path / "v")[0]) == 0


def test_saved_and_loaded_is_the_same(filled, tmp_path):
    index, ids, _ = filled
    queries = unit(20, seed=2)
    assert index.save(tmp_path / "v", {"generation": 7})
    loaded, stamp = VectorIndex.load(tmp_path / "v")
    assert stamp == {"generation": 7}
    for ours, theirs in zip(index.search(queries, 5), loaded.search(queries, 5), strict=True):
        assert np.array_equal(ours, theirs)
    assert loaded.ids().tolist() == ids.tolist()
    assert faiss.read_index(str(tmp_path / "v")).ntotal == 3000  # plain FAISS reads it, too
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


def test_every_flipped_bit_is_noticed(tmp_path):
    index = VectorIndex()
    index.upsert(np.arange(3), unit(3, 4))
    index.save(tmp_path / "v", {"generation": 1})
    whole = (tmp_path / "v").read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        (tmp_path / "v").write_bytes(damaged)
        with pytest.raises(DamagedFileError):
            VectorIndex.load(tmp_path / "v")
    for length in range(len(whole)):
        (tmp_path / "v").write_bytes(whole[:length])
        with pytest.raises(DamagedFileError):
            VectorIndex.load(tmp_path / "v")
