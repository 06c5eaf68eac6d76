"""What one image lacks of another: while there is anything, it does not hold it.

Tolerances are those of the measurements. In a chain (x in y, y in z) they add up and stay within the same limits: what
of y is not in z may all lie where x is, so it counts for x divided by the share of y that x covers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot, log2

from imgindex.comparison.second_look import SIDE
from imgindex.comparison.stretch import STRETCHED
from imgindex.comparison.strips import pieces, reach
from imgindex.facts import Facts
from imgindex.retention.maps import Map, determinant, lay
from imgindex.retention.missed import missed
from imgindex.retention.relations import Kind, Relation

Size = tuple[int, int]

LOSS = 0.02  # of an area that may seem not to be in the other: shares are measured to .01
PLACE = 0.005  # of the overlap, from which another thing is there; a smaller one than a caption has
FINER = 0.2  # log2 a side, by the mean of two measures: what measuring the same picture twice leaves
HIDDEN = 0.03  # of a picture, that may seem to lie under a border of the other; more is a band, with words maybe
DOUBT = 0.4  # by which the two may disagree: more is what sharpening, an enlargement or aliasing does to one of them
DENSER = 0.05  # log2 a side of pixels that are no difference
_MADE = 0.9  # of a picture, that is in the one that it is made from; it cannot show much more
CLEARLY = 0.25  # log2 a side: finer by both measures, however much they disagree
NOISIER = 8.0  # grey values: twice what strong compression takes from a photo; more hides what is there
DUSTY = 4.0  # the same, where nothing has taken noise from the other: noise was added, or colours were dithered
APART = 0.8  # log2 a side by which the two measures of detail contradict each other, whatever else is so
GOOD = 85  # JPEG quality from which compression takes nothing that is seen
WORSE = 5  # below that: by so much less quality a file may hold another
SCALED = -0.25  # log2 a side: with so much more detail, its own compression no longer matters
STEPS = 3  # of a chain
CHAINED = 64  # images of a group, up to which chains are followed; of more only pairs that were seen count
LOSSLESS = frozenset({"png", "bmp", "tiff", "webp", "ppm", "pgm", "pbm", "pnm"})


@dataclass(frozen=True)
class Tie:
    """How x lies in y; along a chain, at worst."""

    kind: Kind
    loss: float  # of what there is to see in x, that is not in y
    cover: float  # of y, that x shows
    place: float  # largest place where x is not what y would look like
    finer: float  # x over y, log2 a side
    noisier: float  # y's noise minus x's
    mirrored: bool
    denser: float = 0.0  # log2 a side of x's pixels over y's
    hidden: float = 0.0  # of y, that lies under a border of x
    stretched: bool = False  # one out of the other: their detail is the same, whatever measures of it say
    unclear: bool = False  # one may be stretched out of the other; they were looked at too small to be told

    def then(self, other: "Tie") -> "Tie":
        """This step and another one."""
        around = max(self.cover, 1e-6)
        return Tie(
            "same" if self.kind == other.kind == "same" else "version",
            self.loss + other.loss / around,
            self.cover * other.cover,
            self.place + other.place / around,
            self.finer + other.finer,
            self.noisier + other.noisier,
            self.mirrored != other.mirrored,
            self.denser + other.denser,
            self.hidden + other.hidden,
            unclear=self.unclear or other.unclear,
        )


def tie(relation: Relation, x: int, sizes: Mapping[int, Size]) -> Tie:
    """How x, one of the two, lies in the other; width and height of each image that has a file."""
    over, one, other = lay(relation.transform), sizes.get(relation.a), sizes.get(relation.b)
    alone = relation.kind == "same" or relation.stretched  # what measures say of their detail counts for nothing
    if x == relation.a:
        shares, place, sign, inside = (relation.share_a, relation.share_b), relation.place_ba, 1, over.inside_back
    else:
        shares, place, sign, inside = (relation.share_b, relation.share_a), relation.place_ab, -1, over.inside
    return Tie(
        relation.kind,
        _least(1 - shares[0]) * pieces(*sizes.get(x, (1, 1))),
        1 - _least(1 - shares[1]),
        place,
        0.0 if alone else sign * (relation.finer + _reduced(one, other)),
        -sign * relation.noisier,
        relation.mirrored,
        sign * _denser(over.map, one, other),
        (inside - shares[1]) * pieces(*sizes.get(relation.b if x == relation.a else relation.a, (1, 1))),
        bool(relation.stretched),
        not relation.stretched and _unclear(over.map, one, other),
    )


def _unclear(map_: Map, a: Size | None, b: Size | None) -> bool:
    """Whether one axis grows otherwise than the other, of pictures that were shrunk to be looked at."""
    if a is None or b is None or max(reach(*a), reach(*b)) <= SIDE:
        return False
    across, down = (hypot(b[0] * map_[axis], b[1] * map_[3 + axis]) / a[axis] for axis in (0, 1))
    return abs(log2(max(across, 1e-9) / max(down, 1e-9))) > STRETCHED


def _reduced(a: Size | None, b: Size | None) -> float:
    """log2 a side by which a was shrunk more than b to be looked at: as much finer is what was not seen of it."""
    one, other = (max(0.0, log2(reach(*size) / SIDE)) if size else 0.0 for size in (a, b))
    return one - other


def _denser(map_: Map, a: Size | None, b: Size | None) -> float:
    """log2 a side of a's pixels over b's, in the middle of a."""
    if a is None or b is None:
        return 0.0
    w = map_[6] / 2 + map_[7] / 2 + map_[8]
    area = abs(determinant(map_)) / w**3 * (b[0] * b[1]) / max(1, a[0] * a[1])
    return -0.5 * log2(area) if area > 0 else 0.0


def _least(loss: float) -> float:
    """Not below 0; what is no number stays none, and so is within no limit."""
    return 0.0 if loss < 0 else loss


def gaps(x: Facts | None, y: Facts | None, how: Tie | None) -> tuple[str, ...]:
    """What of x is not in y, the plainest first; nothing: y holds x."""
    if how is None or x is None or y is None:
        return ("look",)
    if how.kind not in ("same", "version"):
        return (how.kind,)
    same = how.kind == "same"
    lacking = {
        "raw": x.raw,  # only the same bytes hold the sensor's data: its picture does not tell two of them apart
        "frames": y.frames < x.frames or (x.frames > 1 and not same),  # only the first ones were compared
        "extra": x.extra and not same,
        "alpha": x.alpha and not y.alpha,
        "colour": x.colour and not y.colour,
        "depth": x.bits > y.bits,
        "area": not how.loss <= LOSS,
        "hidden": not same and not how.hidden <= HIDDEN,
        "spot": not how.place <= PLACE,
        "detail": not same and not finer(x, y, how) <= FINER,
        "doubt": not same and (how.unclear or _doubtful(x, y, how)),
        "compression": not same and not _compressed_no_worse(x, y, how),
        "grain": not same and how.noisier < -DUSTY and how.denser > -DENSER,
        "noise": not same and not how.noisier <= _noise_allowed(x, how),
    }
    return tuple(name for name, gone in lacking.items() if gone) + missed(x, y)


def finer(x: Facts, y: Facts, how: Tie) -> float:
    """log2 a side of x's detail over y's: the mean of what their overlap shows and of what each has by itself."""
    if how.kind == "same" or how.stretched:
        return how.finer
    return (how.finer + _finer_alone(x, y, how)) / 2


def _finer_alone(x: Facts, y: Facts, how: Tie) -> float:
    """By the effective pixels of each."""
    own, inside = x.detail * (1 - how.loss), y.detail * how.cover
    return 0.5 * log2(own / inside) if own > 0 and inside > 0 else how.finer


def _doubtful(x: Facts, y: Facts, how: Tie) -> bool:
    """Whether the two measures disagree about whether y has the detail of x, of which it may be made."""
    seen, alone = how.finer, _finer_alone(x, y, how)
    if not how.stretched and min(seen, alone) < -FINER < FINER < max(seen, alone) and abs(seen - alone) > APART:
        return True
    if (
        how.stretched or how.cover < _MADE or quality(x) + WORSE < min(GOOD, quality(y))
    ):  # one measure does not see compression
        return False
    fewer = how.denser > DENSER and finer(x, y, how) < -FINER  # finer with fewer pixels, so sharpened, or aliasing
    return fewer or (abs(seen - alone) > DOUBT and max(seen, alone) > -CLEARLY)


def _noise_allowed(x: Facts, how: Tie) -> float:
    """Grey values by which y may be noisier: more where x was compressed, shrunk or blurred."""
    kept = quality(x) >= GOOD and how.denser > -DENSER and how.finer > -1
    return DUSTY if kept else NOISIER


def _compressed_no_worse(x: Facts, y: Facts, how: Tie) -> bool:
    scaled = max(how.finer, how.denser) <= SCALED  # edges of blocks look like detail, but are no pixels
    return scaled or quality(y) >= min(GOOD, quality(x) - WORSE)


def quality(facts: Facts) -> int:
    """Of a JPEG; above all of them without loss; good where it cannot be told, so that the detail decides."""
    if facts.quality is not None:
        return facts.quality
    return 101 if facts.format.lower() in LOSSLESS and facts.subsampling is None else GOOD


class Holds:
    """Who holds whom of some images. A relation that was seen closely has the last word; else a chain counts."""

    def __init__(
        self, facts: Mapping[int, Facts], relations: Sequence[Relation], sizes: Mapping[int, Size] | None = None
    ) -> None:
        self._facts = facts
        self._ties: dict[int, dict[int, Tie]] = {}
        for relation in sorted(relations, key=_strictness):
            for x, y in ((relation.a, relation.b), (relation.b, relation.a)):
                self._ties.setdefault(x, {})[y] = tie(relation, x, sizes or {})
        self._direct = {
            x: {y: how for y, how in ties.items() if not self._gaps(x, y, how)} for x, ties in self._ties.items()
        }
        self._all = {x: self._chains(x) for x in self._ties}

    def of(self, x: int) -> Mapping[int, Tie]:
        """The images that hold x, and how."""
        return self._all.get(x, {})

    def gaps(self, x: int, y: int) -> tuple[str, ...]:
        """What of x is not in y."""
        return () if x == y or y in self.of(x) else self._gaps(x, y, self._ties.get(x, {}).get(y))

    def finer(self, x: int, y: int) -> float:
        """log2 a side of x's detail over y's; 0 where nothing is known."""
        how = self._ties.get(x, {}).get(y) or self.of(x).get(y)
        one, other = self._facts.get(x), self._facts.get(y)
        return finer(one, other, how) if how and one and other else 0.0

    def _gaps(self, x: int, y: int, how: Tie | None) -> tuple[str, ...]:
        return gaps(self._facts.get(x), self._facts.get(y), how)

    def _chains(self, x: int) -> dict[int, Tie]:
        found = dict(self._direct[x])
        # Detail that was stretched is told by its flag, and no measure of it adds up along a chain.
        last = {y: how for y, how in found.items() if not how.stretched} if len(self._ties) <= CHAINED else {}
        for _ in range(STEPS - 1):
            reached: dict[int, Tie] = {}
            for y, how in last.items():
                for z, step in self._direct[y].items():
                    if z == x or z in self._ties[x] or z in found or step.stretched:
                        continue
                    longer = how.then(step)
                    if not self._gaps(x, z, longer) and (z not in reached or _worst(longer) < _worst(reached[z])):
                        reached[z] = longer
            found |= reached
            last = reached
        return found


def _strictness(relation: Relation) -> tuple[object, ...]:
    """Of several relations of one pair the one that holds least comes last, and stays."""
    numbers = relation.place_ab, relation.place_ba, relation.share_a, relation.share_b, relation.finer, relation.noisier
    return relation.kind not in ("same", "version"), relation.kind != "same", relation.kind, numbers


def _worst(how: Tie) -> float:
    return max(how.loss / LOSS, how.place / PLACE, how.finer / FINER, how.noisier / NOISIER)
