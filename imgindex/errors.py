"""What can go wrong, each with a sentence that names the thing and the way out."""

import errno
import os


class ImgindexError(Exception):
    """Base of every error that imgindex raises on purpose; its text is one sentence for a person.

    `hint`: the way out on the command line, as another sentence, for who shows the error there.
    """

    def __init__(self, sentence: str = "", *, hint: str | None = None) -> None:
        super().__init__(sentence)
        self.hint = hint


class UsageError(ImgindexError):
    """The call itself is wrong: a path that does not exist, a k of 0."""


class UnreadablePictureError(ImgindexError):
    """A picture that cannot be read; from a decoder, the text is the reason without the path."""


class DecodingStoppedError(UnreadablePictureError):
    """Decoding was ended from outside or by the clock, which may go better another time."""


class WeightsError(ImgindexError):
    """A model's weights are missing, damaged or of another layout."""


class ModelMismatchError(ImgindexError):
    """The index was made with another model or other weights."""


class IndexFormatError(ImgindexError):
    """The folder holds no usable index: not a database, or made by a newer imgindex."""


class StorageError(ImgindexError):
    """The index cannot be read or written: disk full, read-only, no permission."""


class DiskFullError(StorageError):
    """There is no room left for it."""


def storage_error(error: OSError, sentence: str, *, hint: str | None = None) -> StorageError:
    """A sentence about an operating system's error, as the kind of error that it is."""
    return (DiskFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageError)(sentence, hint=hint)


# Hints
ANOTHER_FOLDER = "Name another folder with --index."
ANOTHER_FILE = "Name the file of the weights with --weights."


class NotIndexedError(ImgindexError):
    """An id or path that the index does not know."""


def not_indexed(target: "str | os.PathLike[str] | int") -> NotIndexedError:
    """For an image by its id, or a path, that the index does not know."""
    if isinstance(target, int):
        return NotIndexedError(f"There is no image {target} in the index.")
    return NotIndexedError(f"{os.fspath(target)} is not in the index; add it first.")


class FileGoneError(ImgindexError):
    """No file of an image is as it was indexed: gone, changed, or its drive is away."""


class BusyError(ImgindexError):
    """Another process is doing the same thing to this index."""
