"""TensorFlow as a runtime: imported without its greetings, and the precision that its hardware is good at."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from imgindex.models.base import Precision


def native_precision() -> Precision:
    """bfloat16 where the CPU has matrix units for it (AMX) and no GPU takes the work, else float32.

    Without AMX bfloat16 is slower than float32; GPUs are left to their own float32 modes.
    """
    try:
        amx = "amx_bf16" in Path("/proc/cpuinfo").read_text().split()
    except OSError:
        amx = False
    return "bfloat16" if amx and not tensorflow().config.list_physical_devices("GPU") else "float32"


def tensorflow() -> Any:
    """Import tensorflow without its greetings on stderr; TF_CPP_MIN_LOG_LEVEL below 3 brings them back."""
    quiet = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3" and "tensorflow" not in sys.modules
    with _silent_stderr() if quiet else nullcontext():
        import tensorflow
    return tensorflow


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Keep what native code writes to file descriptor 2 to itself, unless an exception passes.

    TensorFlow 2.21 writes some lines before it reads its log level.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # closed, so there is nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        except BaseException:
            caught.seek(0)
            os.write(kept, caught.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
