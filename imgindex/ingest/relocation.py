"""Uploads of an index that was moved, copied, or recorded under another name: their paths follow the index."""

import os
import re
from pathlib import Path

from imgindex.files import found
from imgindex.ingest.upload_folder import UPLOADS, UploadFolder
from imgindex.records import File
from imgindex.storage.storage import Storage

_HOME = "folder"  # a setting: where the index was when its uploads were recorded
_KEPT = re.compile(r"[0-9a-f]{64}(\.\w+)?")  # what `UploadFolder.path` calls a picture


def follow(store: Storage, uploads: UploadFolder) -> None:
    """Where the index is not where it was, point recorded uploads at the files that came with it; touches no file."""
    now = str(uploads.folder.parent)
    before = store.settings.get(_HOME)
    if before == now or not uploads.folder.is_dir():
        return
    with store.transaction():
        for file in _elsewhere(store, uploads, before):
            own = os.path.join(uploads.folder, os.path.basename(file.path))
            if _is_same(own, file):
                _point(store, file, own)
        store.settings.put(_HOME, now)


def _elsewhere(store: Storage, uploads: UploadFolder, before: str | None) -> list[File]:
    """Uploads that are recorded in another folder; an older version did not say in which."""
    if before is not None:
        return [file for file in store.images.files_below(os.path.join(before, UPLOADS)) if not uploads.owns(file.path)]
    names = [name for name in os.listdir(uploads.folder) if _KEPT.fullmatch(name)]
    images = {name: store.images.id_of(bytes.fromhex(name[:64])) for name in names}
    return [
        file
        for name, image in images.items()
        if image is not None
        for file in store.images.files_of([image])
        if Path(file.path).parts[-2:] == (UPLOADS, name) and not uploads.owns(file.path)
    ]


def _is_same(own: str, file: File) -> bool:
    """Whether our file of that name is the recorded one, or a copy of it: its time may be another then."""
    try:
        return os.stat(own).st_size == file.bytes
    except OSError:
        return False


def _point(store: Storage, file: File, own: str) -> None:
    if store.images.files_at([own]):  # both were recorded, and one of them is the other's copy
        store.images.remove_files([file.path])
        return
    store.images.rename(file.path, own)
    if _KEPT.fullmatch(os.path.basename(own)):  # its content is its name; another is read again by `sync`
        store.images.put_file(File(own, file.image, *found(own, os.stat(own))[1:]))
