"""Groups of files with an index that knows them."""

import os
from collections.abc import Sequence
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from imgindex.cleanup.cleaner import Cleanup
from imgindex.cleanup.plan import Cleaned, Plan, Undone, plan
from imgindex.duplicates.records import Duplicates, Group, GroupFile, Pair
from imgindex.facts import Facts
from imgindex.records import Decoded, File, Image, ImageFile, ModelInfo
from imgindex.storage.storage import Storage


def cleanup(store: Storage, groups: Sequence[Group] = ()) -> Cleanup:
    """The cleanup of an index that finds these groups."""
    found = Duplicates(tuple(groups), (), 0, 0, 0, 0, "")
    return Cleanup(store, find=lambda _: found, follow=lambda: None)


def grouped(number: int, files: Sequence[ImageFile], *, near: bool = False, loose: bool = False) -> Group:
    """The first file stays and holds the others."""
    first, *others = ({field.name: getattr(file, field.name) for field in fields(ImageFile)} for file in files)
    looked = Facts("png")
    by = {"held_by": first["image"], "holder": first["path"], "holder_sha256": first["sha256"]}
    held: Any = "version" if near else "exact"
    members = (
        GroupFile(**first, facts=looked),
        *(GroupFile(**other, stays=False, held=held, facts=looked, **by) for other in others),
    )
    weakest = Pair(7, 8, "copy", 0.5, 9, (), False, 1.0) if near else None
    return Group(number, "near" if near else "exact", members, weakest, loose)


def agreeing(made: Plan) -> list[Group]:
    """Groups in which all that a plan says is so."""
    return [
        grouped(
            nth,
            [
                ImageFile(path=path, image=1, width=1, height=1, bytes=1, mtime_ns=1, sha256=digest)
                for path, digest in ((step.keep, step.keep_sha256), (step.path, step.sha256))
            ],
        )
        for nth, step in enumerate(made.steps)
    ]


class Pictures:
    """Groups of files with an index that knows them, and a memory of how they were."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "index").mkdir(parents=True)
        self.store = Storage.open(folder / "index" / "index.db")
        self.store.embeddings.set_model(ModelInfo("fake", "tiles", "mean", 16, "none", "0" * 64, 16))
        self.groups: list[Group] = []
        self.was: dict[str, tuple[bytes, int, int]] = {}

    def file(self, path: Path, data: bytes) -> ImageFile:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod([0o600, 0o644, 0o640][len(self.was) % 3])
        os.utime(path, ns=(10**18, 10**18 + 7 * len(self.was)))
        digest, status = sha256(data).digest(), path.stat()
        self.was[str(path)] = (data, status.st_mtime_ns, status.st_mode)
        image = self.index(str(path))
        return ImageFile(
            path=str(path), image=image, width=1, height=1,
            bytes=len(data), mtime_ns=status.st_mtime_ns, sha256=digest,
        )  # fmt: skip

    def index(self, path: str) -> int:
        data, mtime_ns, _ = self.was[path]
        image = Image(0, sha256(data).digest(), 1, 1, len(data))
        decoded = Decoded(np.zeros((1, 1, 3), np.uint8), 1, 1, image.sha256, b"", Facts("png"))
        number = self.store.add_image(image, np.zeros(16, np.float32), decoded)
        self.store.images.put_file(File(path, number, len(data), mtime_ns))
        return number

    def group(self, *names: str | Path, near: bool = False, loose: bool = False) -> Group:
        number = len(self.groups) + 1
        copies = [
            self.file(self.folder / name, f"picture {number} {nth if near else 0}".encode() * 99)
            for nth, name in enumerate(names)
        ]
        self.groups.append(grouped(number, copies, near=near, loose=loose))
        return self.groups[-1]

    def paths(self, *names: str) -> tuple[str, ...]:
        return tuple(str(self.folder / name) for name in names)

    def apply(self, how: Any, **options: Any) -> Cleaned:
        if how == "quarantine":
            options.setdefault("quarantine", self.folder / "quarantine")
        return cleanup(self.store, self.groups).apply(plan(self.groups, how), **options)

    def undo(self) -> Undone:
        return cleanup(self.store).undo()

    def known(self) -> set[str]:
        return {file.path for file in self.store.images.files_below("/")}

    def states(self) -> list[str]:
        return [row[0] for row in self.store.database.rows("SELECT state FROM ledger ORDER BY id")]

    def as_they_were(self) -> bool:
        return all(seen(path) == was for path, was in self.was.items())


def seen(path: str | Path) -> tuple[bytes, int, int] | None:
    try:
        status = os.stat(path)
        return Path(path).read_bytes(), status.st_mtime_ns, status.st_mode
    except FileNotFoundError:
        return None
