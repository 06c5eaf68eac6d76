"""A decoder without a process, for tests of what comes after it."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from imgindex.comparison.second_look import Relation, look
from imgindex.decoding.local_features import describe
from imgindex.facts import Facts
from imgindex.records import Decoded


class InlineDecoder:
    """Decodes in this process: `Decoders(InlineDecoder)`. Starting others would take longer than all that is tested."""

    def __init__(self, size: int, **_: Any) -> None:
        self._size = size

    def decode(self, data: bytes) -> Decoded:
        pixels = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        small = cv2.resize(pixels, (self._size, self._size), interpolation=cv2.INTER_AREA)
        return Decoded(small, pixels.shape[1], pixels.shape[0], bytes(32), describe(pixels), Facts("png"))

    def look(self, one: bytes, other: bytes, transform: Sequence[float]) -> Relation:
        shown = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in (one, other)]
        return look(*shown, tuple(transform))

    def renew(self) -> None:
        pass

    def close(self) -> None:
        pass
