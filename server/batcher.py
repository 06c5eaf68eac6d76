"""Pictures of many requests, joined to batches for the model: it takes what has come while it was busy."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from imgindex import ImageIndex, ImgindexError, Incoming

Floats = npt.NDArray[np.float32]

BATCH = 32  # pictures; larger ones are no faster
WAITING = 256  # pictures; server.room bounds their bytes
RESTART = 10  # seconds until a server that is stopped may be there again
STOPPING = "The server is being stopped"


class QueueFullError(ImgindexError):
    """More pictures are waiting for the model than the server holds, or it takes no more."""

    def __init__(self, retry_after: int, why: str = "Too many pictures are waiting for the model") -> None:
        super().__init__(f"{why}; send this again in {retry_after} s.")
        self.retry_after = retry_after


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


class Batches:
    """One thread that embeds, and keeps what is to be kept, in the order in which pictures come."""

    def __init__(self, index: ImageIndex, observe: Callable[[int, float], None] = lambda *_: None) -> None:
        self._index = index
        self._observe = observe  # gets the pictures and seconds of each batch
        self._queue: queue.Queue[_Waiting | None] = queue.Queue()
        self._waiting = 0
        self._closed = False
        self._lock = threading.Lock()
        self._rate = 0.15  # seconds a picture, as last seen
        self._thread = threading.Thread(target=self._run, name="imgindex-model", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """Pictures that wait or are at the model."""
        return self._waiting

    def close(self) -> None:
        """End after the batch at the model; what waits is refused."""
        with self._lock:
            self._closed = True
        self._queue.put(None)
        self._thread.join()

    def put(self, pictures: Sequence[Incoming], *, keep: bool) -> list["Future[Embedded]"]:
        """Queue pictures that are new to the index. Raises QueueFullError, with none of them queued."""
        items = [_Waiting(picture, keep) for picture in pictures]
        with self._lock:
            if self._closed:
                raise QueueFullError(RESTART, STOPPING)
            if self._waiting + len(items) > WAITING:
                raise QueueFullError(max(1, round(self._waiting * self._rate)))
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
                    raise QueueFullError(RESTART, STOPPING)
                self._embed(batch)
            except Exception as error:  # noqa: BLE001  # it is the requests', which are waiting for it
                for item in batch:
                    if not item.done.done():
                        item.done.set_exception(error)
            with self._lock:
                self._waiting -= len(batch)

    def _embed(self, batch: list[_Waiting]) -> None:
        start = time.monotonic()
        pictures = [item.picture for item in batch]
        vectors = self._index.embed(pictures)
        seconds = time.monotonic() - start
        self._rate = seconds / len(batch)
        self._observe(len(batch), seconds)
        kept = [(item, vector) for item, vector in zip(batch, vectors, strict=True) if item.keep]
        for item, vector in zip(batch, vectors, strict=True):
            if not item.keep:
                item.done.set_result(Embedded(vector))
        if kept:
            taken = self._index.take([item.picture for item, _ in kept], np.stack([vector for _, vector in kept]))
            for (item, vector), (image, new) in zip(kept, taken, strict=True):
                item.done.set_result(Embedded(vector, image, new))
