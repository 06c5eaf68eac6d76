"""Names of types that many rooms use; each says what its arrays hold, the docstrings beside them say the shapes."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]  # of images, as the database counts them
Labels = npt.NDArray[np.int64]  # of clusters, from 0
Pixels = npt.NDArray[np.uint8]  # RGB unless said otherwise

AnyPath = str | os.PathLike[str]
Progress = Callable[[int, int], None]  # called with what is done, and all there is to do
