"""Taking files into an index: reading and decoding run beside embedding, so the model never waits."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import numpy as np

from imgindex import files
from imgindex.decoding import formats
from imgindex.decoding.decoder import LARGEST_FILE, READERS, decoder_versions
from imgindex.errors import DecodingStoppedError, UnreadablePictureError
from imgindex.ingest.index_model import IndexModel
from imgindex.ingest.recorder import Recorder
from imgindex.records import Decoded, Failure, File, Image
from imgindex.storage.storage import Storage
from imgindex.types import Floats

T = TypeVar("T")

_SILENT = 3  # files of a drive that do not answer until the others on it are not asked: one may lie on a bad sector
BATCH = 32  # images; measured in tests/benchmarks/README.md


@dataclass
class Tally:
    """What happened so far, in files."""

    added: int = 0
    unchanged: int = 0
    moved: int = 0
    skipped: int = 0
    failed: list[Failure] = field(default_factory=list)

    @property
    def done(self) -> int:
        return self.added + self.unchanged + self.moved + self.skipped + len(self.failed)


@dataclass(frozen=True)
class _Loaded:
    """A changed file, read: decoded unless there is nothing left to learn of its content, or failed."""

    found: files.Found
    sha256: bytes = b""
    decoded: Decoded | None = None
    embedded: bool = False  # its content has an embedding already, from an older version
    failure: Failure | None = None
    no_picture: bool = False

    @property
    def is_refused(self) -> bool:
        """Whether a decoder could not read it, while nothing said that this was for want of something."""
        return self.failure is not None and self.failure.bytes is not None


class Pipeline:
    """Reads, decodes and embeds files, and records them batch by batch; each batch is kept or not at all."""

    def __init__(self, store: Storage, model: IndexModel, recorder: Recorder) -> None:
        self._store = store
        self._model = model
        self._recorder = recorder
        self._decoder = decoder_versions()
        self._silent: Counter[int] = Counter()  # by device: files that did not answer in this run
        self._readers = ThreadPoolExecutor(READERS, "imgindex-read")
        self._embedding = ThreadPoolExecutor(1, "imgindex-embed")

    def close(self) -> None:
        """Drop what is not yet recorded."""
        self._readers.shutdown(cancel_futures=True)
        self._embedding.shutdown(cancel_futures=True)

    def run(self, found: Iterable[files.Found | Failure], recorded: Callable[[Tally], None]) -> Tally:
        """Take these files in; `recorded` is called after every batch that is safe in the database."""
        tally = Tally()
        self._silent.clear()
        refused: list[files.Found] = []
        lost = self._take(found, tally, recorded, refused)
        if refused:
            self._model.decoders.renew()
            lost += self._take(refused, tally, recorded)
        reason = "its copy was removed from the index while it was being added; add it again"
        tally.failed += [Failure(item.path, reason) for item in self._take(lost, tally, recorded)]
        return tally

    def _take(
        self,
        found: Iterable[files.Found | Failure],
        tally: Tally,
        recorded: Callable[[Tally], None],
        refused: list[files.Found] | None = None,
    ) -> list[files.Found]:
        """Returns those whose content was known when they were read, but forgotten before they were recorded.

        Two files that swapped their names are such a case. `refused`: takes what no decoder could read, instead of
        recording that: once is no verdict.
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
                    lost += self._record(*waiting, tally, refused)
                    recorded(tally)
                waiting = loaded, embedding
        if waiting:
            lost += self._record(*waiting, tally, refused)
            recorded(tally)
        return lost

    def _changed(self, batch: list[files.Found | Failure], tally: Tally) -> list[files.Found]:
        """Those that are not recorded as they are now; the others are counted."""
        present = {item.path: item for item in batch if isinstance(item, files.Found)}
        tally.failed += [item for item in batch if isinstance(item, Failure)]
        for file in self._store.images.described_at(list(present)):
            if files.is_unchanged(file, present[file.path]):
                del present[file.path]
                tally.unchanged += 1
        for failure in self._store.images.failures_at(list(present), self._decoder):
            as_tried = present[failure.path][1:3] == (failure.bytes, failure.mtime_ns)
            if as_tried and not is_no_picture(failure.path):
                del present[failure.path]
                tally.failed.append(failure)
        return list(present.values())

    def _load(self, found: files.Found) -> _Loaded:
        try:
            return self._read(found)
        except OSError as error:
            self._silent[found.device] += isinstance(error, TimeoutError)
            failure = Failure(found.path, files.reason(error))
        except MemoryError:
            failure = Failure(found.path, "the machine lacks memory to read it")
        except DecodingStoppedError as error:
            failure = Failure(found.path, str(error))
        except UnreadablePictureError as error:
            failure = Failure(found.path, str(error), found.bytes, found.mtime_ns)
        return _Loaded(found, failure=failure)

    def _read(self, found: files.Found) -> _Loaded:
        if self._silent[found.device] >= _SILENT:
            raise OSError(None, "its drive is not answering; add it again when it is")
        if is_no_picture(found.path):
            return _Loaded(found, no_picture=True)
        if found.bytes > LARGEST_FILE:
            raise OSError(None, f"larger than {LARGEST_FILE // 1_000_000} MB")
        content = files.read(found.path, LARGEST_FILE)
        if self._store.images.is_described(content.sha256):
            return _Loaded(found, content.sha256)
        known = self._store.images.id_of(content.sha256) is not None
        return _Loaded(found, content.sha256, self._model.decode(content.data), known)

    def _record(
        self, loaded: list[_Loaded], embedding: Future[Floats] | None, tally: Tally, refused: list[files.Found] | None
    ) -> list[files.Found]:
        vectors = embedding.result() if embedding else None
        if refused is not None:
            refused += [item.found for item in loaded if item.is_refused]
            loaded = [item for item in loaded if not item.is_refused]
        known = [image for item in loaded if (image := self._store.images.id_of(item.sha256)) is not None]
        gone = set(files.gone(file.path for file in self._store.images.files_of(known)))  # asked before anybody waits
        with self._store.transaction():
            if vectors is not None:
                self._recorder.record(list(_new(loaded).items()), vectors)
            for item in loaded:
                if item.decoded and item.embedded and (image := self._store.images.id_of(item.sha256)) is not None:
                    self._store.images.describe(image, item.decoded)
            lost = [item.found for item in loaded if not self._record_file(item, gone, tally)]
            failures = [item.failure for item in loaded if item.failure]
            tally.failed += failures
            unreadable = [failure for failure in failures if failure.bytes is not None]
            # What those paths held before is not there any more.
            others = [item.found.path for item in loaded if item.no_picture]
            self._store.images.remove_files([*(failure.path for failure in unreadable), *others])
            self._store.images.forget_failures(others)
            tally.skipped += len(others)
            self._store.images.put_failures(unreadable, self._decoder)
        return lost

    def _record_file(self, item: _Loaded, gone: set[str], tally: Tally) -> bool:
        """Returns False when its content is not there any more."""
        if item.failure or item.no_picture:
            return True
        image = self._store.images.id_of(item.sha256)
        if image is None:
            return False
        others = [file.path for file in self._store.images.files_of([image])]
        self._store.images.put_file(File(item.found.path, image, *item.found[1:]))
        if item.found.path in others:
            tally.unchanged += 1  # only its time had changed
        elif before := [path for path in others if path in gone]:
            self._store.images.remove_files(before[:1])
            gone.discard(before[0])
            tally.moved += 1
        else:
            tally.added += 1
        return True


def is_no_picture(path: str) -> bool:
    """By its name and, where that says nothing, its first bytes: a film is not read whole for that."""
    if formats.is_named_as_picture(path):
        return False
    try:
        return not formats.kind(files.head(path, formats.HEAD))
    except OSError:  # told by who reads it
        return False


def _new(loaded: list[_Loaded]) -> dict[Image, Decoded]:
    """The images to embed, each content once."""
    return {
        Image(0, item.sha256, item.decoded.width, item.decoded.height, item.found.bytes): item.decoded
        for item in loaded
        if item.decoded and not item.embedded
    }


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
