"""Pictures of many requests, joined into batches for the model: each takes what arrived during the one before."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from imgindex import ImageIndex, Incoming
from imgindex.server.errors import OverloadedError
from imgindex.types import Floats

BATCH = 32  # pictures; the model is no faster on larger batches
WAITING = 256  # pictures: eight batches, the last of which waits half a minute on two cores
RESTART = 10  # seconds that a restart usually takes
SECONDS = 0.15  # of VGG16 for a picture on two cores, until the first batch has been timed
STOPPING = "The server is shutting down"
FULL = "Too many pictures are waiting for the model"


@dataclass(frozen=True)
class Embedded:
    """What became of a picture."""

    vector: Floats  # (D,)
    image: int | None = None  # its id, if it was kept
    new: bool = False  # it was not there before


@dataclass
class _Waiting:
    picture: Incoming
    keep: bool
    done: "Future[Embedded]" = field(default_factory=Future)


class Batcher:
    """One thread that embeds pictures, and adds those to be kept, in the order of arrival."""

    def __init__(self, index: ImageIndex, observe: Callable[[int, float], None] = lambda *_: None) -> None:
        self._index = index
        self._observe = observe  # gets the pictures and seconds of each batch
        self._queue: queue.Queue[_Waiting | None] = queue.Queue()
        self._waiting = 0
        self._closed = False
        self._lock = threading.Lock()
        self._seconds = SECONDS  # for a picture, in the last batch
        self._thread = threading.Thread(target=self._run, name="imgindex-model", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """Pictures that are waiting or in the model."""
        return self._waiting

    def close(self) -> None:
        """Stop after the current batch; waiting pictures are refused."""
        with self._lock:
            self._closed = True
        self._queue.put(None)
        self._thread.join()

    def put(self, pictures: Sequence[Incoming], *, keep: bool) -> list["Future[Embedded]"]:
        """Queue pictures that are new to the index. Raises OverloadedError, with none of them queued."""
        items = [_Waiting(picture, keep) for picture in pictures]
        with self._lock:
            if self._closed:
                raise OverloadedError(RESTART, STOPPING)
            if self._waiting + len(items) > WAITING:
                raise OverloadedError(max(1, round(self._waiting * self._seconds)), FULL)
            self._waiting += len(items)
            for item in items:
                self._queue.put(item)
        return [item.done for item in items]

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            while len(batch) < BATCH and not self._queue.empty():
                item = self._queue.get()
                if item is None:
                    self._queue.put(None)
                    break
                batch.append(item)
            try:
                if self._closed:
                    raise OverloadedError(RESTART, STOPPING)
                self._embed(batch)
            except Exception as error:  # noqa: BLE001  # the waiting requests raise it
                for item in batch:
                    if not item.done.done():
                        item.done.set_exception(error)
            with self._lock:
                self._waiting -= len(batch)

    def _embed(self, batch: list[_Waiting]) -> None:
        start = time.monotonic()
        pictures = [item.picture for item in batch]
        vectors = self._index.uploads.embed(pictures)
        seconds = time.monotonic() - start
        self._seconds = seconds / len(batch)
        self._observe(len(batch), seconds)
        kept = [(item, vector) for item, vector in zip(batch, vectors, strict=True) if item.keep]
        for item, vector in zip(batch, vectors, strict=True):
            if not item.keep:
                item.done.set_result(Embedded(vector))
        if kept:
            taken = self._index.uploads.add(
                [item.picture for item, _ in kept], np.stack([vector for _, vector in kept])
            )
            for (item, vector), (image, new) in zip(kept, taken, strict=True):
                item.done.set_result(Embedded(vector, image, new))
