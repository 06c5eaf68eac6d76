"""What every vector backend promises, run over each of them: add a row to BACKENDS for another one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imgindex.search.faiss_file import FaissFile
from imgindex.search.faiss_index import Sizing
from imgindex.search.vector_index import VectorIndex, VectorStore
from imgindex.types import Floats, Ids
from tests.support.vectors import unit

LAST = 2**63 - 1
COUNT = 600
ROUNDED = 0.002  # what 16-bit floats make of a cosine

BACKENDS: dict[str, Callable[[Path], VectorStore]] = {
    "faiss, exact": lambda folder: FaissFile(folder / "vectors.faiss"),
    "faiss, inverted file": lambda folder: FaissFile(folder / "vectors.faiss", Sizing(exact_up_to=100, visited=1)),
}


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> VectorStore:
    return BACKENDS[request.param](tmp_path)


@pytest.fixture(params=[4, 64])
def rows(request: pytest.FixtureRequest) -> Floats:
    return unit(COUNT, request.param)


@pytest.fixture
def ids() -> Ids:
    """Not in order, and up to the largest."""
    some = np.random.default_rng(3).permutation(np.arange(COUNT, dtype=np.int64) * 7 + 3)
    some[[17, 400]] = LAST, LAST - 1
    return some


@pytest.fixture
def index(store: VectorStore, ids: Ids, rows: Floats) -> VectorIndex:
    filled = store.empty()
    filled.upsert(ids[:350], rows[:350])
    filled.upsert(ids[350:], rows[350:])
    return filled


def held(index: VectorIndex) -> dict[int, Floats]:
    return {int(one): row for part, rows in index.scan() for one, row in zip(part, rows, strict=True)}


def restarted(store: VectorStore, index: VectorIndex) -> VectorIndex:
    store.save(index, {"state": 1})
    kept = store.load()
    assert kept is not None
    assert kept[1] == {"state": 1}
    return kept[0]


def test_all_that_was_stored_is_there(index, ids, rows):
    assert len(index) == COUNT
    assert index.ids().dtype == np.int64
    assert index.ids().tolist() == sorted(ids.tolist())
    stored = held(index)
    assert sorted(stored) == sorted(ids.tolist())
    assert np.allclose(np.stack([stored[int(one)] for one in ids]), rows, atol=ROUNDED)


def test_every_vector_finds_itself_first(index, ids, rows):
    found, cosines = index.search(rows, 1)
    assert (found.dtype, cosines.dtype) == (np.int64, np.float32)
    assert found[:, 0].tolist() == ids.tolist()
    assert np.allclose(cosines, 1, atol=ROUNDED)


def test_the_nearest_come_best_first(index, ids, rows):
    queries = unit(50, rows.shape[1], seed=1)
    found, cosines = index.search(queries, 10)
    truth = np.argsort(-queries @ rows.T, axis=1)[:, :10]
    recall = np.mean([len({*a} & {*b}) / 10 for a, b in zip(found.tolist(), ids[truth].tolist(), strict=True)])
    assert recall >= 0.98
    assert (np.diff(cosines, axis=1) <= 0).all()
    assert np.allclose(cosines[:, 0], np.max(queries @ rows.T, axis=1), atol=ROUNDED)


def test_a_vector_is_replaced(index, ids, rows):
    index.upsert(ids[[5, 17]], rows[[17, 5]])
    assert len(index) == COUNT
    assert index.search(rows[[5, 17]], 1)[0].ravel().tolist() == ids[[17, 5]].tolist()


def test_what_is_deleted_is_gone_and_the_unknown_is_no_error(index, ids, rows):
    gone = ids[[0, 17, 599]]
    index.delete(np.array([*gone, 1, LAST - 2], np.int64))
    index.delete(gone)
    assert len(index) == COUNT - 3
    assert index.ids().tolist() == sorted({*ids.tolist()} - {*gone.tolist()})
    assert not np.isin(index.search(rows[[0, 17, 599]], 20)[0], gone).any()
    assert not set(held(index)) & set(gone.tolist())


def test_what_was_deleted_may_come_back(index, ids, rows):
    index.delete(ids[:20])
    index.upsert(ids[:20], rows[:20])
    assert len(index) == COUNT
    assert index.search(rows[:20], 1)[0].ravel().tolist() == ids[:20].tolist()


def test_all_may_be_deleted_and_another_dimension_come(index, ids):
    index.delete(ids)
    assert (len(index), index.ids().tolist(), list(held(index))) == (0, [], [])
    index.upsert(np.array([LAST, 0]), unit(2, 7))
    assert index.search(unit(2, 7), 5)[0][:, 0].tolist() == [LAST, 0]


def test_only_those_asked_for_are_looked_at(index, ids, rows):
    among = ids[[3, 17, 30, 31]]
    found, cosines = index.search(rows[:4], 10, among)
    assert all({*row} - {-1} == {*among.tolist()} for row in found.tolist())
    assert found[3, 0] == ids[3]
    assert (cosines[found == -1] == -1).all()
    best, _ = index.search(rows[:4], 2, np.array([*among, 1], np.int64))
    assert np.isin(best, among).all()
    none, _ = index.search(rows[:4], 3, np.empty(0, np.int64))
    assert (none == -1).all()


def test_more_than_there_are_gives_all(index, ids, rows):
    found, _ = index.search(rows[:2], 10 * COUNT)
    assert [sorted(row) for row in found.tolist()] == [sorted(ids.tolist())] * 2


def test_around_gives_the_nearest_and_whose_nearest_they_become(index, ids, rows):
    queries = unit(5, rows.shape[1], seed=2)
    order = np.argsort(ids)
    floors = np.random.default_rng(4).uniform(0.2, 0.9, COUNT).astype(np.float32)
    listed = order[::2]  # the others have no floor
    near, cosines, (where, hits, theirs) = index.around(queries, 6, ids[listed], floors[listed])
    expected, best = index.search(queries, 6)
    assert np.allclose(cosines, best, atol=ROUNDED)
    assert near[:, 0].tolist() == expected[:, 0].tolist()
    truth = queries @ rows[listed].T
    clear = np.abs(truth - floors[listed]) > ROUNDED
    wanted = {(int(row), int(ids[listed][column])) for row, column in np.argwhere((truth > floors[listed]) & clear)}
    got = set(zip(where.tolist(), hits.tolist(), strict=True))
    assert wanted <= got
    unclear = {(int(row), int(ids[listed][column])) for row, column in np.argwhere(~clear)}
    assert got - wanted <= unclear
    column = {int(one): place for place, one in enumerate(ids)}
    right = np.array([queries[row] @ rows[column[hit]] for row, hit in zip(where, hits.tolist(), strict=True)])
    assert np.allclose(theirs, right, atol=ROUNDED)


def test_around_without_floors_gives_the_nearest_alone(index, rows):
    nothing = np.empty(0, np.int64)
    near, cosines, (where, hits, theirs) = index.around(rows[:3], 4, nothing, nothing.astype(np.float32))
    assert near[:, 0].tolist() == index.search(rows[:3], 1)[0].ravel().tolist()
    assert (near.shape, cosines.shape) == ((3, 4), (3, 4))
    assert (len(where), len(hits), len(theirs)) == (0, 0, 0)


def test_nothing_in_gives_nothing_out(store, rows):
    nothing, floors = np.empty(0, np.int64), np.empty(0, np.float32)
    index = store.empty()
    index.delete(np.array([1]))
    index.upsert(nothing, rows[:0])
    assert (len(index), index.ids().tolist(), list(held(index))) == (0, [], [])
    assert index.search(rows[:2], 3)[0].shape == (2, 0)
    near, cosines, nearer = index.around(rows[:2], 3, nothing, floors)
    assert (near.shape, cosines.shape, [len(one) for one in nearer]) == ((2, 0), (2, 0), [0, 0, 0])
    assert len(restarted(store, index)) == 0


def test_no_query_has_no_answer(index, rows):
    found, cosines = index.search(rows[:0], 3)
    assert (found.shape, cosines.shape) == ((0, 3), (0, 3))


def test_it_goes_on_after_a_restart_in_the_middle(store, ids, rows):
    index = store.empty()
    index.upsert(ids[:80], rows[:80])
    for start in range(80, COUNT, 130):
        index = restarted(store, index)
        index.upsert(ids[start : start + 130], rows[start : start + 130])
        index.delete(ids[start - 80 : start - 78])
        index.upsert(ids[:1], rows[:1])
    gone = {int(one) for start in range(80, COUNT, 130) for one in ids[start - 80 : start - 78]} - {int(ids[0])}
    index = restarted(store, index)
    assert index.ids().tolist() == sorted({*ids.tolist()} - gone)
    assert index.search(rows[590:], 1)[0].ravel().tolist() == ids[590:].tolist()


def test_what_is_loaded_answers_as_what_was_saved(store, index, rows):
    loaded = restarted(store, index)
    queries = unit(20, rows.shape[1], seed=5)
    for ours, theirs in zip(index.search(queries, 5), loaded.search(queries, 5), strict=True):
        assert np.array_equal(ours, theirs)


def test_what_is_kept_stays_until_another_is_saved(store, index, ids, rows):
    assert store.load() is None
    store.save(index, {"state": 1})
    another = store.empty()
    another.upsert(ids[:3], rows[:3])
    kept = store.load()
    assert kept is not None
    assert (len(kept[0]), kept[1]) == (COUNT, {"state": 1})
    assert len(restarted(store, another)) == 3
    store.discard()
    store.discard()
    assert store.load() is None
