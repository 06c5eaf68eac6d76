"""ImageIndex: opens an index, hands its parts to each other, adds, removes and asks."""

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from imgindex import files
from imgindex.catalog import Images
from imgindex.cleanup.cleaner import Cleanup
from imgindex.clustering.placement import Placement
from imgindex.clustering.store import Runs
from imgindex.clustering.themes import Themes
from imgindex.containment import Contents
from imgindex.decoding.decoder import Decoders
from imgindex.duplicates.candidates import Candidates
from imgindex.duplicates.finder import DuplicateFinder
from imgindex.duplicates.looks import Looks
from imgindex.duplicates.policy_store import PolicyStore
from imgindex.duplicates.relation_store import RelationStore
from imgindex.duplicates.store import MatchStore
from imgindex.duplicates.verdicts import Verdicts
from imgindex.errors import StorageError, UsageError
from imgindex.ingest import relocation
from imgindex.ingest.index_model import IndexModel
from imgindex.ingest.pipeline import Pipeline, Tally
from imgindex.ingest.query import QueryReader
from imgindex.ingest.recorder import Recorder
from imgindex.ingest.records import Added, Removed
from imgindex.ingest.remembered import Remembered
from imgindex.ingest.removal import Remover
from imgindex.ingest.rereading import Rereading
from imgindex.ingest.upload_folder import UploadFolder
from imgindex.ingest.uploads import Uploads
from imgindex.models.base import Embedder
from imgindex.records import Counts, ModelInfo
from imgindex.reports.builder import Reports
from imgindex.search import projection
from imgindex.search.faiss_file import FaissFile
from imgindex.search.neighbours import Neighbours
from imgindex.search.projection import GROWING, GROWN
from imgindex.search.records import Neighbour, Similar
from imgindex.storage.storage import Storage
from imgindex.types import AnyPath, Floats, Progress

DATABASE, VECTORS, COPIES, RECLUSTER = "index.db", "vectors.faiss", "copies.faiss", "recluster.lock"


class ImageIndex:
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
        decoders: Decoders | None = None,
    ) -> None:
        """`decoders`: what decodes in place of guarded child processes, as in tests; closed with the index."""
        self.folder = Path(os.path.realpath(folder))  # so that its uploads have one name, whichever way led here
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"{self.folder} cannot be made ({files.reason(error)}); choose another folder for the index."
            ) from error
        store = self._store = Storage.open(self.folder / DATABASE)
        self._model = IndexModel(store, model, Path(weights) if weights else None, embedder, decoders=decoders)
        runs, matches = Runs(store.database), MatchStore(store.database)
        self._placement = Placement(store, runs)
        recorder = Recorder(store, self._model, self._placement)
        self._pipeline = Pipeline(store, self._model, recorder)
        self._neighbours = Neighbours(store, FaissFile(self.folder / VECTORS), projection.likeness)
        self._near = Neighbours(store, FaissFile(self.folder / COPIES), projection.copies)
        self._candidates = Candidates(store, matches, self._near)
        relations = RelationStore(store.database, matches)
        self._upload_folder = UploadFolder(self.folder)
        self._remembered = Remembered(store, self._upload_folder)
        self.missing, self.left_out = self._remembered.missing, self._remembered.left_out
        self._rereading = Rereading(store)
        self._verdicts = Verdicts(
            store, matches, relations, self._near, self._candidates, uploads=str(self._upload_folder.folder)
        )
        looks = Looks(store, relations, self._model.decoders)
        self._queries = QueryReader(store, self._model, self._upload_folder)
        self.images = Images(store, self._model.decoders)
        self.duplicates = DuplicateFinder(store, matches, PolicyStore(store.database), self._verdicts, looks)
        self.contents = Contents(store, self._model, self._verdicts, looks, self._upload_folder)
        self.cleanup = Cleanup(store, find=lambda keep: self.duplicates.find(keep=keep), follow=self._follow)
        self.themes = Themes(store, runs, self._placement, self.folder / RECLUSTER)
        self.reports = Reports(store.database, runs, find=self.duplicates.find)
        self.uploads = Uploads(store, self._model, recorder, self._upload_folder, follow=self._grown)
        self._remover = Remover(store, self._remembered, self.uploads)
        try:
            self._model.check()
            relocation.follow(store, self._upload_folder)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def exists(folder: AnyPath) -> bool:
        """Whether there is an index in a folder."""
        return (Path(folder) / DATABASE).exists()

    def close(self) -> None:
        """Stop the decoders and close the database."""
        self._pipeline.close()
        self._model.close()
        self._store.close()

    def __enter__(self) -> "ImageIndex":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Adding and removing

    def add(self, paths: Iterable[AnyPath], *, exclude: Sequence[str] = (), progress: Progress | None = None) -> Added:
        """Index files and folders; what is unchanged is skipped, what cannot be read is listed in `failed`.

        `exclude`: patterns, as in a .gitignore, of what to leave out of the folders, now and in every `sync`; a file
        `.imgindexignore` in a folder says the same. What programs keep for themselves (bins, thumbnails, half a
        transfer) is left out.

        Which images may be copies of each other is known then; asking for duplicates, or `duplicates.prove`, proves it.

        `progress` is called after each batch that is safe in the database, with the files done and all there are.
        Raises UsageError for a path that does not exist, and WeightsError.
        """
        whole = files.absolute(paths)
        for path in whole:
            self._upload_folder.refuse_own(path)
        self._remembered.add(filter(os.path.isdir, whole), exclude)
        return self._take(whole, progress)

    def sync(self, *, progress: Progress | None = None) -> Added:
        """Walk the added folders again, and what was uploaded."""
        return self._take(self._remembered.there(), progress, uploads=True)

    def _take(self, paths: Sequence[str], progress: Progress | None, *, uploads: bool = False) -> Added:
        start = time.monotonic()
        total = sum(1 for _ in self._remembered.walk(paths, uploads=uploads)) if progress else 0

        def recorded(tally: Tally) -> None:
            self._neighbours.fit_if_due(GROWING)
            if progress:
                progress(tally.done, total)

        tally = self._pipeline.run(self._remembered.walk(paths, uploads=uploads), recorded)
        self._grown()
        counts = self._store.images.counts()
        return Added(
            tally.added, tally.unchanged, tally.moved, tally.failed,
            counts.images, counts.files, time.monotonic() - start, tally.skipped,
        )  # fmt: skip

    def _grown(self) -> None:
        self._neighbours.fit_if_due(GROWN)
        self._follow()

    def _follow(self) -> None:
        """Bring all that is derived up to date."""
        self._neighbours.follow()
        self._candidates.propose()

    def remove(self, targets: Iterable[AnyPath | int]) -> Removed:
        """Forget images by id, or files and folders by path; nothing is deleted but an upload whose id is given.

        Raises, before anything is forgotten, NotIndexedError for a target that the index does not know, and UsageError
        for the path of an upload: only its id says that the one file of it is to go.
        """
        gone, deleted, kept = self._remover.remove(targets)
        self._follow()
        counts = self._store.images.counts()
        return Removed(gone, counts.images, counts.files, deleted, kept)

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
        image, path, vector = self._queries.read(query)
        among = None if theme is None else self._placement.images(theme)
        ids, likenesses = self._neighbours.search(vector, k + 1, among)
        hits = [
            (int(hit), float(like))
            for hit, like in zip(ids[0], likenesses[0], strict=True)
            if hit not in (-1, image) and like >= at_least
        ]
        paths = {file.image: file.path for file in reversed(self._store.images.files_of([hit for hit, _ in hits]))}
        return Similar(image, path, [Neighbour(hit, paths[hit], like) for hit, like in hits if hit in paths][:k])

    def counts(self) -> Counts:
        """How many images and files the index holds."""
        return self._store.images.counts()

    def version(self) -> int:
        """Another number after any change of the index by anyone; it says nothing to another process."""
        return self._store.database.version()

    @property
    def embedder(self) -> Embedder:
        """The index's model, loaded."""
        return self._model.loaded()

    @property
    def model(self) -> ModelInfo | None:
        """What the index was begun with; None before the first picture."""
        return self._store.embeddings.model()

    # Health

    def check(self, *, full: bool = False, progress: Progress | None = None) -> list[str]:
        """What is wrong with the index, one sentence each.

        `full`: also read all files again, and compute all duplicates anew, and compare.
        """
        rooms = (self._store, self._neighbours, self._near, self._placement, self.cleanup)
        problems = [problem for room in rooms for problem in room.problems()]
        return problems + (self._rereading.problems(progress) + self._verdicts.problems(progress) if full else [])

    def repair(self, *, full: bool = False) -> None:
        """Settle what was interrupted, forget what is not whole, rebuild what is derived.

        `full`: also forget files that hold something else than was indexed, and prove duplicates anew.
        """
        self._store.repair()
        if full:
            self._rereading.repair()
        self._neighbours.rebuild()
        self._near.rebuild()
        self._placement.repair()
        self.cleanup.recover()
        if full:
            self._verdicts.repair()
