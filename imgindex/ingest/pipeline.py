"""Taking files into an index: reading and decoding run beside embedding, so the model never waits."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import numpy as np

from imgindex import files
from imgindex.decoding.decoder import LARGEST_FILE, READERS, decoder_versions
from imgindex.errors import DecodingStoppedError, UnreadablePictureError
from imgindex.ingest.index_model import IndexModel
from imgindex.ingest.recorder import Recorder
from imgindex.records import Decoded, Failure, File, Image
from imgindex.storage.storage import Storage
from imgindex.types import Floats

T = TypeVar("T")

BATCH = 32  # images; measured in tests/benchmarks/README.md


@dataclass
class Tally:
    """What happened so far, in files."""

    added: int = 0
    unchanged: int = 0
    moved: int = 0
    failed: list[Failure] = field(default_factory=list)

    @property
    def done(self) -> int:
        return self.added + self.unchanged + self.moved + len(self.failed)


@dataclass(frozen=True)
class _Loaded:
    """A changed file, read: decoded unless its content is known already, or failed."""

    found: files.Found
    sha256: bytes = b""
    decoded: Decoded | None = None
    failure: Failure | None = None


class Pipeline:
    """Reads, decodes and embeds files, and records them batch by batch; each batch is kept or not at all."""

    def __init__(self, store: Storage, model: IndexModel, recorder: Recorder) -> None:
        self._store = store
        self._model = model
        self._recorder = recorder
        self._decoder = decoder_versions()
        self._readers = ThreadPoolExecutor(READERS, "imgindex-read")
        self._embedding = ThreadPoolExecutor(1, "imgindex-embed")

    def close(self) -> None:
        """Drop what is not yet recorded."""
        self._readers.shutdown(cancel_futures=True)
        self._embedding.shutdown(cancel_futures=True)

    def run(self, found: Iterable[files.Found | Failure], recorded: Callable[[Tally], None]) -> Tally:
        """Take these files in; `recorded` is called after every batch that is safe in the database."""
        tally = Tally()
        lost = self._take(found, tally, recorded)
        reason = "its copy was removed from the index while it was being added; add it again"
        tally.failed += [Failure(item.path, reason) for item in self._take(lost, tally, recorded)]
        return tally

    def _take(
        self, found: Iterable[files.Found | Failure], tally: Tally, recorded: Callable[[Tally], None]
    ) -> list[files.Found]:
        """Returns those whose content was known when they were read, but forgotten before they were recorded.

        Two files that swapped their names are such a case.
        """
        lost: list[files.Found] = []
        waiting: tuple[list[_Loaded], Future[Floats] | None] | None = None
        for batch in _batches(found, 16 * BATCH):
            changed = self._changed(batch, tally)
            recorded(tally)
            for part in _batches(changed, BATCH):
                loaded = list(self._readers.map(self._load, part))
                pixels = [decoded.pixels for decoded in _new(loaded).values()]
                embedding = self._embedding.submit(self._model.embed, np.stack(pixels)) if pixels else None
                # Only now, with the model at work on this batch, wait for the one before it.
                if waiting:
                    lost += self._record(*waiting, tally)
                    recorded(tally)
                waiting = loaded, embedding
        if waiting:
            lost += self._record(*waiting, tally)
            recorded(tally)
        return lost

    def _changed(self, batch: list[files.Found | Failure], tally: Tally) -> list[files.Found]:
        """Those that are not recorded as they are now; the others are counted."""
        present = {item.path: item for item in batch if isinstance(item, files.Found)}
        tally.failed += [item for item in batch if isinstance(item, Failure)]
        for file in self._store.images.described_at(list(present)):
            if present[file.path][1:] == (file.bytes, file.mtime_ns):
                del present[file.path]
                tally.unchanged += 1
        for failure in self._store.images.failures_at(list(present), self._decoder):
            if present[failure.path][1:] == (failure.bytes, failure.mtime_ns):
                del present[failure.path]
                tally.failed.append(failure)
        return list(present.values())

    def _load(self, found: files.Found) -> _Loaded:
        if found.bytes > LARGEST_FILE:
            return _Loaded(found, failure=Failure(found.path, f"larger than {LARGEST_FILE // 1_000_000} MB"))
        try:
            data, sha256 = files.read(found.path, LARGEST_FILE)
        except OSError as error:
            return _Loaded(found, failure=Failure(found.path, files.reason(error)))
        if self._store.images.is_described(sha256):
            return _Loaded(found, sha256)
        try:
            return _Loaded(found, sha256, self._model.decode(data))
        except DecodingStoppedError as error:
            return _Loaded(found, failure=Failure(found.path, str(error)))
        except UnreadablePictureError as error:
            return _Loaded(found, failure=Failure(found.path, str(error), found.bytes, found.mtime_ns))

    def _record(self, loaded: list[_Loaded], embedding: Future[Floats] | None, tally: Tally) -> list[files.Found]:
        vectors = embedding.result() if embedding else None
        with self._store.transaction():
            if vectors is not None:
                self._recorder.record(list(_new(loaded).items()), vectors)
            lost = [item.found for item in loaded if not self._record_file(item, tally)]
            failures = [item.failure for item in loaded if item.failure]
            tally.failed += failures
            unreadable = [failure for failure in failures if failure.bytes is not None]
            # What those paths held before is not there any more.
            self._store.images.remove_files([failure.path for failure in unreadable])
            self._store.images.put_failures(unreadable, self._decoder)
        return lost

    def _record_file(self, item: _Loaded, tally: Tally) -> bool:
        """Returns False when its content is not there any more."""
        if item.failure:
            return True
        image = self._store.images.id_of(item.sha256)
        if image is None:
            return False
        others = [file.path for file in self._store.images.files_of([image])]
        self._store.images.put_file(File(item.found.path, image, item.found.bytes, item.found.mtime_ns))
        if item.found.path in others:
            tally.unchanged += 1  # only its time had changed
        elif gone := [path for path in others if not os.path.lexists(path)]:
            self._store.images.remove_files(gone[:1])
            tally.moved += 1
        else:
            tally.added += 1
        return True


def _new(loaded: list[_Loaded]) -> dict[Image, Decoded]:
    """The images to embed, each content once."""
    return {
        Image(0, item.sha256, item.decoded.width, item.decoded.height, item.found.bytes): item.decoded
        for item in loaded
        if item.decoded
    }


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
