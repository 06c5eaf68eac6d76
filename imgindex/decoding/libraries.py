"""What libraries import only when they first need it, imported early: in the sandbox no file can be opened.

Afterwards nothing more is looked for on disk, so that what is missing is a missing module, as ever, and no error of
the disk.
"""

import codecs
import sys
from contextlib import suppress
from importlib import import_module
from importlib.machinery import BuiltinImporter, FrozenImporter

_LATE = ("exifread", "xml.parsers.expat", "numpy.ma", "PIL.Image", "PIL.ImageCms", "PIL.WebPImagePlugin")
_WALLS = ("landlockpy", "seccompy")  # what `sandbox` is made of; on Linux only
_EXTRAS = ("pillow_heif", "rawpy")  # reading a picture that needs one says what to install
_CODECS = ("ascii", "latin-1", "cp1252", "utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32")  # of metadata


def load() -> None:
    """Import everything that decoding may need, and end importing."""
    for name in _LATE:
        import_module(name)
    for name in (*_WALLS, *_EXTRAS):
        with suppress(ImportError, OSError):  # OSError: a library that it needs is damaged
            import_module(name)
    for name in _CODECS:
        codecs.lookup(name)
    from PIL import Image

    Image.preinit()
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter]
