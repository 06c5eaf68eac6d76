"""imgindex: find the copies, find images like this, and keep a growing collection sorted."""

from imgindex.embed import Availability, Embedder, available_models, default_model
from imgindex.errors import (
    ImgindexError,
    IndexFormatError,
    ModelMismatchError,
    NotIndexedError,
    StorageError,
    UnreadablePictureError,
    UsageError,
    WeightsError,
)
from imgindex.index import ImageIndex
from imgindex.records import Added, Failure, File, ModelInfo, Neighbour, Removed, Similar

__all__ = [
    "Added",
    "Availability",
    "Embedder",
    "Failure",
    "File",
    "ImageIndex",
    "ImgindexError",
    "IndexFormatError",
    "ModelInfo",
    "ModelMismatchError",
    "Neighbour",
    "NotIndexedError",
    "Removed",
    "Similar",
    "StorageError",
    "UnreadablePictureError",
    "UsageError",
    "WeightsError",
    "available_models",
    "default_model",
]
