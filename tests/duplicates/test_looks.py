"""Second looks that fail: what is tried again, and when."""

from collections.abc import Callable
from pathlib import Path

import pytest

from imgindex.decoding.decoder import Decoders
from imgindex.duplicates import looks
from imgindex.duplicates.looks import Looks
from imgindex.duplicates.records import Pair
from imgindex.duplicates.relation_store import RelationStore
from imgindex.duplicates.store import MatchStore
from imgindex.errors import DecodingStoppedError, UnreadablePictureError
from imgindex.retention.maps import ITSELF
from tests.cleanup.pictures import Pictures
from tests.support.decoding import InlineDecoder


class Refusing(InlineDecoder):
    """Raises these errors, and then must not be asked again."""

    errors: list[Exception]
    asked = 0

    def look(self, *_):
        type(self).asked += 1
        if self.errors:
            raise self.errors.pop()
        raise AssertionError("nothing was to be asked any more")


@pytest.fixture
def follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Looks at what wants a look, with these errors to come; how often a decoder was asked."""
    made = Pictures(tmp_path)
    for name in "ab":
        made.file(tmp_path / f"{name}.png", name.encode())
    matches = MatchStore(made.store.database)
    matches.put_verdicts((), {(1, 2): Pair(1, 2, "copy", 0.9, 30, ITSELF, False, 1.0)})

    def follow(*errors: Exception, version: str = "1") -> int:
        monkeypatch.setattr(looks, "decoder_versions", lambda: version)
        decoder = type("Once", (Refusing,), {"errors": list(errors)})
        relations = RelationStore(made.store.database, matches)
        Looks(made.store, relations, Decoders(decoder)).follow()
        assert relations.all() == {}
        return decoder.asked

    return follow


def test_what_was_refused_twice_waits_for_another_decoder(follow):
    refused = UnreadablePictureError("the data is damaged")
    assert follow(refused, refused) == 2
    assert follow() == 0
    assert follow(refused, refused, version="2") == 2
    assert follow(version="2") == 0


def test_what_was_stopped_is_tried_again(follow):
    stopped = DecodingStoppedError("it takes too long")
    assert follow(stopped) == 1
    assert follow(stopped) == 1
