"""imgindex: find the copies, find images like this, and keep a growing collection sorted."""

from imgindex.calibrate import Calibration, calibrate_index
from imgindex.clean import Cleaned, Undone
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
from imgindex.plan import Plan
from imgindex.records import (
    Added,
    Copy,
    Duplicates,
    Failure,
    File,
    FolderShare,
    Group,
    ModelInfo,
    Neighbour,
    Pair,
    Removed,
    Report,
    Similar,
    Since,
)

__all__ = [
    "Added",
    "Availability",
    "Calibration",
    "Cleaned",
    "Copy",
    "Duplicates",
    "Embedder",
    "Failure",
    "File",
    "FolderShare",
    "Group",
    "ImageIndex",
    "ImgindexError",
    "IndexFormatError",
    "ModelInfo",
    "ModelMismatchError",
    "Neighbour",
    "NotIndexedError",
    "Pair",
    "Plan",
    "Removed",
    "Report",
    "Similar",
    "Since",
    "StorageError",
    "Undone",
    "UnreadablePictureError",
    "UsageError",
    "WeightsError",
    "available_models",
    "calibrate_index",
    "default_model",
]
