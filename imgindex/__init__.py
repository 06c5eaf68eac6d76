"""imgindex: find the copies, find images like this, and keep a growing collection sorted."""

from imgindex.cleanup.cleaner import Cleaned, Undone
from imgindex.cleanup.plan import Plan
from imgindex.clustering.records import Candidate, Clusters, Drift, Lineage, Member, Run, Theme
from imgindex.duplicates.records import Duplicates, Group, ImageFile, Pair
from imgindex.errors import (
    BusyError,
    DiskFullError,
    FileGoneError,
    ImgindexError,
    IndexFormatError,
    ModelMismatchError,
    NotIndexedError,
    StorageError,
    UnreadablePictureError,
    UsageError,
    WeightsError,
)
from imgindex.evaluation import Calibration, calibrate_index
from imgindex.index import ImageIndex
from imgindex.ingest.records import Added, Incoming, Removed
from imgindex.models.registry import Availability, Embedder, available_models, default_model
from imgindex.records import Entry, Failure, File, ModelInfo, Original
from imgindex.reports.records import FolderShare, PastReport, Report, Since, ThemeShare
from imgindex.schedule import is_due
from imgindex.search.projection import one_thread
from imgindex.search.records import Neighbour, Similar

__version__ = "0.1.0"

__all__ = [
    "Added",
    "Availability",
    "BusyError",
    "Calibration",
    "Candidate",
    "Cleaned",
    "Clusters",
    "DiskFullError",
    "Drift",
    "Duplicates",
    "Embedder",
    "Entry",
    "Failure",
    "File",
    "FileGoneError",
    "FolderShare",
    "Group",
    "ImageFile",
    "ImageIndex",
    "ImgindexError",
    "Incoming",
    "IndexFormatError",
    "Lineage",
    "Member",
    "ModelInfo",
    "ModelMismatchError",
    "Neighbour",
    "NotIndexedError",
    "Original",
    "Pair",
    "PastReport",
    "Plan",
    "Removed",
    "Report",
    "Run",
    "Similar",
    "Since",
    "StorageError",
    "Theme",
    "ThemeShare",
    "Undone",
    "UnreadablePictureError",
    "UsageError",
    "WeightsError",
    "available_models",
    "calibrate_index",
    "default_model",
    "is_due",
    "one_thread",
]
