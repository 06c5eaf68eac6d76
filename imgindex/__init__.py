"""imgindex: find the copies, find images like this, and keep a growing collection sorted."""

from imgindex.cleanup.plan import Cleaned, Plan, Undone
from imgindex.clustering.records import Candidate, Clusters, Drift, Lineage, Member, Run, Theme
from imgindex.clustering.themes import LONGEST_NAME
from imgindex.containment import Contained, Containment
from imgindex.decoding.child import decoder_sandbox
from imgindex.decoding.sandbox import Sandbox
from imgindex.decoding.thumbnails import THUMBNAIL
from imgindex.duplicates.records import Duplicates, Group, GroupFile, Pair, Related
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
from imgindex.evaluation import evaluate
from imgindex.index import ImageIndex
from imgindex.ingest.records import Added, Incoming, Removed
from imgindex.models.base import Availability, Embedder
from imgindex.models.registry import available_models, default_model
from imgindex.records import LARGEST_ID, Entry, Failure, File, ImageFile, ModelInfo, Original
from imgindex.reports.records import Calibration, FolderShare, PastReport, Report, Since, ThemeShare
from imgindex.retention.originals import ORDER
from imgindex.retention.policies import Policies
from imgindex.schedule import EVERY_DAY, EVERY_WEEK, is_due
from imgindex.search.records import Neighbour, Similar
from imgindex.threads import one_thread

__version__ = "0.1.0"

__all__ = [
    "EVERY_DAY",
    "EVERY_WEEK",
    "LARGEST_ID",
    "LONGEST_NAME",
    "ORDER",
    "THUMBNAIL",
    "Added",
    "Availability",
    "BusyError",
    "Calibration",
    "Candidate",
    "Cleaned",
    "Clusters",
    "Contained",
    "Containment",
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
    "GroupFile",
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
    "Policies",
    "Related",
    "Removed",
    "Report",
    "Run",
    "Sandbox",
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
    "decoder_sandbox",
    "default_model",
    "evaluate",
    "is_due",
    "one_thread",
]
