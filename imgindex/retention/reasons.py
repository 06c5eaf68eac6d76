"""Why a file stays, and what holds one that does not, in a sentence each."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence

from imgindex.facts import Facts
from imgindex.retention.gaps import Holds, Tie
from imgindex.retention.missed import missed, place
from imgindex.retention.units import File

_TIMES = 1.5  # as much detail, from which it is worth telling
_AROUND = 0.9  # of a picture, below which the other one shows more around it
_METADATA = ("capture time", "place", "camera", "rating", "metadata", "unique id")
CONTRADICTION = "what is known of these files contradicts itself, so all of them stay"
NOT_SEEN = "has not been looked at closely yet"


class Reasons:
    """Of the files of one group."""

    def __init__(self, files: Sequence[File], facts: Mapping[int, Facts], holds: Holds) -> None:
        self._facts, self._holds = facts, holds
        self._images = sorted({file.image for file in files})
        names = Counter(os.path.basename(file.path) for file in files)
        self._names = {
            file.path: name if names[name := os.path.basename(file.path)] == 1 else file.path for file in files
        }

    def goes(self, file: File, holder: File) -> str:
        """What holds it."""
        name = self._names[holder.path]
        if file.image == holder.image:
            return f"{name} has the same bytes"
        how = self._holds.of(file.image)[holder.image]
        more = self._more(file, holder, how)
        mirrored = ", mirrored" if how.mirrored else ""
        return f"{name} holds all of it{mirrored}" + (f", with {' and '.join(more)}" if more else "")

    def _more(self, file: File, holder: File, how: Tie) -> list[str]:
        x, y = self._facts.get(file.image), self._facts.get(holder.image)
        finer = self._holds.finer(file.image, holder.image)
        told = {
            _times(-finer): 4**-finer >= _TIMES,
            "more around it": how.cover < _AROUND,
            "its colours": bool(x and y and y.colour and not x.colour),
            "more of its metadata": bool(x and y and not y.unread and missed(y, x)),
        }
        return [words for words, true in told.items() if true][:2]

    def first(self, file: File, held: Sequence[File], others: int) -> str:
        """Why the first one stays: what it holds of the others."""
        if not held:
            return "is the only one"
        if len(held) < others:
            return f"holds {len(held)} of the {others} others"
        ratio = min(-self._holds.finer(each.image, file.image) for each in held)
        return "holds all the others" + (f", with {_times(ratio)}" if 4**ratio >= _TIMES else "")

    def stays(self, file: File, other: File) -> str:
        """Why it stays beside another one that stays."""
        lacking = self._holds.gaps(file.image, other.image)
        x, y, name = self._facts.get(file.image), self._facts.get(other.image), self._names[other.path]
        if not lacking:
            if other.volatile and not file.volatile:
                return f"{name} lies where a restart of the machine loses it"
            return f"is one of several that belong together, and {name} does not hold all of them"
        if x is None:
            return NOT_SEEN
        if y is None:
            return f"{name} {NOT_SEEN}"
        if lacking[0] in _METADATA:
            return self._metadata(x, y, lacking, name)
        return self._lacking(lacking[0], file, x, y, other)

    def _metadata(self, x: Facts, y: Facts, lacking: Sequence[str], name: str) -> str:
        if "metadata" in lacking:
            return f"has metadata that cannot be read, so {name} is not known to have it"
        words = " and ".join(lacking)
        has = {"capture time": y.captured, "place": place(y), "camera": y.camera, "rating": y.rating}
        if any(has.get(each, True) for each in lacking):
            return f"has another {words} than {name}"
        others = [self._facts[image] for image in self._images if image in self._facts and self._facts[image] is not x]
        alone = all(set(lacking) <= set(missed(x, each)) for each in others)
        return f"has the {words} that no other has" if alone else f"has the {words} that {name} does not have"

    def _lacking(self, gap: str, file: File, x: Facts, y: Facts, other: File) -> str:
        name = self._names[other.path]
        alone = sum(self._facts[image].colour for image in self._images if image in self._facts) == 1
        only = "is the only one with its colours"
        return {
            "look": f"has not been compared closely with {name} yet",
            "part": f"shows something that {name} does not show",
            "edited": f"differs from {name} in a place",
            "alike": f"is another shot than {name}",
            "raw": "has the data of the sensor",
            "frames": f"has {x.frames} frames, and {name} is not known to have all of them",
            "extra": f"has a film or further pictures in it, which {name} does not have",
            "alpha": f"has transparency, which {name} does not have",
            "colour": only if alone else f"has colours, which {name} does not have",
            "depth": f"has {x.bits} bits a channel, {name} only {y.bits}",
            "area": f"shows more around than {name}",
            "hidden": f"covers a part of what {name} shows",
            "spot": f"has light or colours that {name} has lost",
            "detail": self._detail(file, other),
            "doubt": f"may have detail that {name} does not have; measures of it disagree",
            "compression": f"is compressed less than {name}",
            "grain": f"has a grain, or fine detail, that {name} does not have",
            "noise": f"is less noisy than {name}",
        }[gap]

    def _detail(self, file: File, other: File) -> str:
        finer = self._holds.finer(file.image, other.image)
        name = self._names[other.path]
        return f"has {_times(finer)} of {name}" if 4**finer >= _TIMES else f"has more detail than {name}"

    def belongs(self, mate: File) -> str:
        """Why a file that another one holds stays: it is one with a file that none holds."""
        return f"belongs to {self._names[mate.path]}, which stays"

    def path_of(self, file: File) -> str:
        """Why a second path of one file stays."""
        return f"is the same file as {self._names[file.path]}, so it takes no room of its own"


def _times(finer: float) -> str:
    """Of log2 a side, as area."""
    ratio = 4.0 ** min(finer, 8.0)
    return f"{ratio:.0f} times the detail" if ratio >= 2.5 else f"{ratio:.1f} times the detail"
