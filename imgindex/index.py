"""ImageIndex: the only wiring between files, decoder, embedder, store and neighbours."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from imgindex import files
from imgindex.clustering.store import Runs
from imgindex.clustering.themes import Themes
from imgindex.curation import Curation, unknown
from imgindex.decoding.decoder import LARGEST_FILE
from imgindex.duplicates.finder import Copies
from imgindex.duplicates.store import Evidence
from imgindex.errors import (
    StorageError,
    UnreadablePictureError,
    UsageError,
)
from imgindex.ingest.index_model import IndexModel
from imgindex.ingest.pipeline import Ingest, Tally
from imgindex.ingest.records import Added, Removed
from imgindex.ingest.upload_folder import Uploads
from imgindex.ingest.uploads import Receiving
from imgindex.models.registry import Embedder
from imgindex.records import Counts, File, ModelInfo
from imgindex.search import projection as spaces
from imgindex.search.neighbours import Neighbours
from imgindex.search.projection import GROWING, GROWN
from imgindex.search.records import Neighbour, Similar
from imgindex.sorting import Sorting
from imgindex.storage.images import Store

Floats = npt.NDArray[np.float32]
AnyPath = str | os.PathLike[str]
Progress = Callable[[int, int], None]

DATABASE, VECTORS, COPIES, RECLUSTER = "index.db", "vectors.faiss", "copies.faiss", "recluster.lock"


class ImageIndex(Curation, Sorting, Receiving):
    """A folder that remembers pictures: add them, find their like, lose nothing. Usable from several threads.

    Opens the index in `folder`, or begins one there. It has one model for life: `embedder`, or the named `model`
    with `weights`, or the one it was begun with; the model is loaded only when a picture must be embedded.
    Raises ModelMismatchError when it was begun with another model, IndexFormatError when the folder holds something
    else or a newer imgindex's index, StorageError when the disk is full or failing.
    """

    def __init__(
        self,
        folder: AnyPath,
        *,
        model: str | None = None,
        weights: AnyPath | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        self.folder = Path(os.path.abspath(folder))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"{self.folder} cannot be made ({files.reason(error)}); choose another --index."
            ) from error
        self._store = Store(self.folder / DATABASE)
        self._model = IndexModel(self._store, model, Path(weights) if weights else None, embedder)
        self._runs = Runs(self._store.database)
        self._themes = Themes(self._store, self._runs, self.folder / RECLUSTER)
        self._uploads = Uploads(self.folder)
        self._ingest = Ingest(self._store, self._model, self._themes)
        self._neighbours = Neighbours(self._store, self.folder / VECTORS, spaces.likeness)
        self._evidence = Evidence(self._store.database)
        self._near = Neighbours(self._store, self.folder / COPIES, spaces.copies)
        self._copies = Copies(self._store, self._evidence, self._near)
        try:
            self._model.check()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def exists(folder: AnyPath) -> bool:
        """Whether there is an index in a folder."""
        return (Path(folder) / DATABASE).exists()

    def close(self) -> None:
        """Stop the decoders and close the database."""
        self._ingest.close()
        self._model.close()
        self._store.close()

    def __enter__(self) -> "ImageIndex":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Adding and removing

    def add(self, paths: Iterable[AnyPath], *, progress: Progress | None = None) -> Added:
        """Index files and folders; what is unchanged is skipped, what cannot be read is listed in `failed`.

        Which images may be copies of each other is known then; `prove`, or asking for duplicates, proves it.

        `progress` is called after each batch that is safe in the database, with the files done and all there are.
        Raises UsageError for a path that does not exist, and WeightsError.
        """
        whole = files.absolute(paths)
        for path in whole:
            self._refuse_own(path)
        for path in whole:
            if os.path.isdir(path):
                self._store.add_folder(path)
        return self._take(whole, progress)

    def sync(self, *, progress: Progress | None = None) -> Added:
        """Walk the added folders again, and what was uploaded."""
        folders = [*self._store.folders(), str(self._uploads.folder)]
        return self._take([path for path in folders if os.path.isdir(path)], progress)

    def missing(self) -> list[str]:
        """Recorded paths that do not exist now; not forgotten, as their drive may only be away."""
        return [file.path for file in self._store.files_below(os.sep) if not os.path.lexists(file.path)]

    def _take(self, paths: list[str], progress: Progress | None) -> Added:
        start = time.monotonic()
        total = sum(1 for _ in files.walk(paths, skip=str(self.folder))) if progress else 0

        def recorded(tally: Tally) -> None:
            self._neighbours.fit_if_due(GROWING)
            if progress:
                progress(tally.done, total)

        tally = self._ingest.run(files.walk(paths, skip=str(self.folder)), recorded)
        self._grown()
        counts = self._store.counts()
        return Added(
            tally.added, tally.unchanged, tally.moved, tally.failed,
            counts.images, counts.files, time.monotonic() - start,
        )  # fmt: skip

    def _grown(self) -> None:
        self._neighbours.fit_if_due(GROWN)
        self._follow()

    def remove(self, targets: Iterable[AnyPath | int]) -> Removed:
        """Forget images by id, or files and folders by path; nothing is deleted but what was uploaded into the index.

        Raises NotIndexedError, before anything is forgotten, for a target that the index does not know.
        """
        folders = set(self._store.folders())
        gone: set[str] = set()
        forgotten: set[str] = set()
        for target in targets:
            inside: set[str] = set()
            if isinstance(target, int):
                found = self._files_of(target)
            else:
                if not os.fspath(target):
                    raise UsageError("An empty path names nothing; say . for the current folder.")
                path = os.path.abspath(os.path.expanduser(target))
                found = self._store.files_at([path]) + self._store.files_below(path)
                inside = {folder for folder in folders if os.path.join(folder, "").startswith(os.path.join(path, ""))}
                forgotten |= inside
            if not found and not inside:
                raise unknown(target)
            gone |= {file.path for file in found}
        with self._store.transaction():
            self._store.remove_files(sorted(gone))
            self._store.remove_folders(sorted(forgotten))
        self._drop(gone)
        self._follow()
        counts = self._store.counts()
        return Removed(len(gone), counts.images, counts.files)

    # Asking

    def similar(
        self, query: AnyPath | int | Floats, *, k: int = 10, at_least: float = 0.0, theme: int | None = None
    ) -> Similar:
        """The k images most like a picture, given by path, by the id of an indexed one, or by its (D,) embedding.

        Only those with a similarity of `at_least`, and of one theme where it is named. Raises UsageError for k < 1 or
        a path that does not exist, NotIndexedError for an unknown id or theme, and UnreadablePictureError.
        """
        if k < 1:
            raise UsageError(f"k is {k}; it must be at least 1.")
        image, path, vector = self._query(query)
        among = None if theme is None else self._themes.images(theme)
        ids, likenesses = self._neighbours.search(vector, k + 1, among)
        hits = [
            (int(hit), float(like))
            for hit, like in zip(ids[0], likenesses[0], strict=True)
            if hit not in (-1, image) and like >= at_least
        ]
        paths = {file.image: file.path for file in reversed(self._store.files_of([hit for hit, _ in hits]))}
        return Similar(image, path, [Neighbour(hit, paths[hit], like) for hit, like in hits if hit in paths][:k])

    def _query(self, query: AnyPath | int | Floats) -> tuple[int | None, str | None, Floats]:
        """Its id and path, as far as it has them, and its (1, D) embedding."""
        if isinstance(query, np.ndarray):
            return None, None, query[None]
        image: int | None
        if isinstance(query, int):
            known = self._files_of(query)
            if not known:
                raise unknown(query)
            path, image = known[0].path, known[0].image
        else:
            (path,) = files.absolute([query])
            self._refuse_own(path)
            now = list(files.walk([path], skip=""))
            same = [file for file in self._store.files_at([path]) if (path, file.bytes, file.mtime_ns) in now]
            image = same[0].image if same else None
        return image, path, self._vector(path) if image is None else self._store.vectors([image])[1]

    def _vector(self, path: str) -> Floats:
        """The (1, D) embedding of a picture that is not recorded under this path."""
        try:
            content = files.read(path, LARGEST_FILE)
        except OSError as error:
            raise UnreadablePictureError(f"{path} cannot be read: {files.reason(error)}.") from error
        image = self._store.image_id(content.sha256)
        if image is not None:
            return self._store.vectors([image])[1]
        try:
            decoded = self._model.decode(content.data)
        except UnreadablePictureError as error:
            raise UnreadablePictureError(f"{path} cannot be read: {error}.") from error
        return self._model.embed(decoded.pixels[None])

    def _files_of(self, image: int) -> list[File]:
        return self._store.files_of([image]) if image < 2**63 else []  # as far as SQLite counts

    def _refuse_own(self, path: str) -> None:
        """Never read our own files as pictures: closing one drops every lock that this process has on it (POSIX)."""
        own = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.folder))
        if own and not self._uploads.owns(path):
            raise UsageError(f"{path} belongs to the index itself; name pictures outside {self.folder}.")

    def counts(self) -> Counts:
        """How many images and files the index holds."""
        return self._store.counts()

    @property
    def embedder(self) -> Embedder:
        """The index's model, loaded."""
        return self._model.loaded()

    @property
    def model(self) -> ModelInfo | None:
        """What the index was begun with; None before the first picture."""
        return self._store.model()

    # Health

    def check(self, *, full: bool = False, progress: Progress | None = None) -> list[str]:
        """What is wrong with the index, one sentence each; `full`: also compute all duplicates anew and compare."""
        rooms = (self._store, self._neighbours, self._near, self._themes)
        problems = [problem for room in rooms for problem in room.problems()]
        return problems + (self._copies.problems(progress) if full else [])

    def repair(self, *, full: bool = False) -> None:
        """Forget what is not whole, and make what is derived anew from the database; `full`: duplicates, too."""
        self._store.repair()
        self._neighbours.rebuild()
        self._near.rebuild()
        self._themes.repair()
        if full:
            self._copies.repair()
