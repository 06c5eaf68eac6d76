"""Two files seen closely beside each other. Runs in the process of `worker`."""

import hashlib
import json
import math
from collections import OrderedDict
from dataclasses import asdict, dataclass

from imgindex.comparison import exact
from imgindex.comparison.second_look import SIDE, look
from imgindex.comparison.strips import reach
from imgindex.decoding import coding
from imgindex.decoding.picture import Picture
from imgindex.decoding.reading import File, decode
from imgindex.types import Pixels

_KEPT = 4  # views; consecutive pairs share pictures, and each view takes up to 3 MB, and exact pixels
_HELD = 48_000_000  # bytes of exact pixels, beyond which only the last two views are kept
_EXACT = 12_000_000  # pixels of a lossless picture compared one by one: a page of A4 at 300 dots an inch has 8.7
# Pixels of a thumbnail's shorter side, and of what it is enlarged to: of 36 spots of a sixth of the width on compressed
# thumbnails of 32 pixels 35 were seen then instead of 19. Smaller ones are seen only between lossless files: `exact`.
_TINY, _ENLARGED = 48, 96
_SMALLEST = math.ceil(SIDE / 2)  # of a JPEG's sides twice this is kept at least: as much detail as a view shows


@dataclass(frozen=True)
class View:
    """A picture as it is looked at."""

    rgb: Pixels  # (H, W, 3), upright, `strips.reach` at most SIDE pixels
    on_black: bool | None  # what it stands on, black or white; None: it covers everything
    exact: Pixels | None = None  # (H, W, 3), upright, all pixels of a lossless file; None: of another, or too many


class Looks:
    """Looks at pairs of files, and remembers the last few."""

    def __init__(self) -> None:
        self._views: OrderedDict[tuple[bytes, bool | None], View] = OrderedDict()

    def view(self, file: File, *, on_black: bool | None = None) -> View:
        """A picture; as a cut-out it stands on black or white as asked for, or else on what shows it best."""
        key = hashlib.sha256(file.data.data).digest(), on_black
        known = self._views.pop(key, None)
        if known is None:
            picture = decode(file, _SMALLEST, on_black=on_black)
            known = View(_shown(picture), picture.on_black, _exact(picture, file))
        self._views[key] = known
        while len(self._views) > _KEPT or (len(self._views) > 2 and self._held() > _HELD):
            self._views.popitem(last=False)
        return known

    def _held(self) -> int:
        return sum(view.exact.nbytes for view in self._views.values() if view.exact is not None)

    def compare(self, one: View, other: View, transform: tuple[float, ...]) -> bytes:
        """Their relation as JSON."""
        seen = look(one.rgb, other.rgb, transform)
        if one.exact is not None and other.exact is not None:
            seen = exact.compare(one.exact, other.exact, seen)
        return json.dumps(asdict(seen)).encode()


def _exact(picture: Picture, file: File) -> Pixels | None:
    width, height = picture.size
    if width * height > _EXACT or not coding.is_lossless(file.data.data, picture.kind):
        return None
    return picture.rgb(width, height)


def _shown(picture: Picture) -> Pixels:
    """(H, W, 3) as it is looked at; a thumbnail is enlarged, as what differs is as small as what is averaged away."""
    width, height = picture.size
    factor = SIDE / reach(width, height)
    if min(width, height) < _TINY and factor > 1:
        factor = min(factor, _ENLARGED / min(width, height))
        return picture.rgb(max(1, round(width * factor)), max(1, round(height * factor)))
    return picture.shrunk(side=factor * max(width, height))
