"""The contact sheet of themes."""

import os
from dataclasses import replace
from itertools import pairwise

import pytest

from imgindex.clustering.records import Candidate, Clusters, Drift, Lineage, Member, Run, Theme
from imgindex.errors import FileGoneError
from imgindex.records import ImageFile
from imgindex.rendering import html as pages
from imgindex.rendering.paths import printable
from imgindex.rendering.sentences import clusters_sentences
from tests.support.html import Page

EVIL = os.fsdecode(b"\xff\xe2\x80\xae<script>alert('1')</script>\n\"{{ 7*7 }}")
RUN = Run(
    id=3, created="2025-02-03T04:05:06+00:00", seconds=1, why="The schedule (7d) says so.", images=40, k=2, elbow=4,
    silhouette=0.27, curve=(Candidate(1, 1.0, 0.0, 0.0),), model="fake", space=1, far=0.4,
    lineage=Lineage(kept=(1, 2), gone=(5,), stayed=30, moved=6),
)  # fmt: skip


def member(image: int, distance: float, silhouette: float | None = 0.3) -> Member:
    return Member(image, f"/p/{image}.jpg", distance, silhouette)


BOATS = Theme(1, "Boats", 0.75, (member(12, 0.1), member(11, 0.25), member(14, 0.5), member(13, 0.05, None)))
OTHER = Theme(2, None, 0.25, (member(20, 0.1),))
SOME = Clusters(RUN, (BOATS, OTHER), Drift(40, 1, 0, 0))


def files(*images: int) -> dict[int, ImageFile]:
    return {image: ImageFile(f"/q/{image}.jpg", image, 300, 200, 1000, 0, bytes(32)) for image in images}


class Sheet(Page):
    """A page of themes, and the images whose thumbnails it asked for; image 14 has none."""

    def __init__(self, clusters: Clusters, found: dict[int, ImageFile]) -> None:
        self.asked: list[int] = []
        super().__init__("".join(pages.clusters_html(clusters, self._thumbnail, found)))
        assert set(self.values("src", "img")) <= {"data:image/jpeg;base64,anBlZw=="}

    def _thumbnail(self, image: int) -> bytes:
        self.asked.append(image)
        if image == 14:
            raise FileGoneError("It is gone.")
        return b"jpeg"


def test_each_theme_with_its_pictures():
    page = Sheet(SOME, files(11, 12, 13, 14, 20))
    assert page.asked == [12, 13, 11, 14, 20]  # the medoid, then by distance
    assert page.values("alt") == ["image 12", "image 13", "image 11", "image 20"]
    assert page.kept == [0, 4]
    assert ["Most typical" in figure for figure in page.figures] == [True, False, False, False, True]
    assert ["new" in figure for figure in page.figures] == [False, True, False, False, False]
    assert "distance 0.25" in page.figures[2]
    assert "/q/11.jpg" in page.figures[2]
    assert "The file is missing." in page.figures[3]
    for words in "Boats theme 1, 4 images, 75.0% of all, 1 new", "Theme 2 1 image, 25.0% of all":
        assert words in page.text
    assert "not shown" not in page.text
    assert page.text.index("Boats") < page.text.index("Theme 2")


def test_the_run_and_what_changed_stand_at_the_top():
    page = Sheet(SOME, {})
    sentences = clusters_sentences(SOME)
    assert len(sentences) > 2
    places = [page.text.index(sentence) for sentence in sentences]
    assert places == sorted(places)
    assert places[-1] < page.text.index("Boats")


def test_an_image_without_a_file():
    page = Sheet(SOME, files(11, 12, 13, 14))
    assert page.asked == [12, 13, 11, 14]
    assert "Image 20 is missing." in page.figures[4]
    assert "/p/20.jpg" in page.figures[4]


def test_a_large_theme_is_sampled_evenly():
    large = Theme(3, None, 1.0, tuple(member(n, n / 1000) for n in range(400)))
    shown = [member.id for member in pages.pictured(large)]
    assert len(shown) == len(set(shown)) == 24
    assert shown[:2] == [0, 1]
    assert shown[-1] == 399
    steps = [after - before for before, after in pairwise(shown[1:])]
    assert set(steps) <= {18, 19}
    page = Sheet(Clusters(RUN, (large,), SOME.drift), files(*shown))
    assert page.asked == shown
    assert "400 images" in page.text
    assert "376 more images not shown." in page.text


@pytest.mark.parametrize("images", [1, 2, 3, 23, 24, 25, 26, 47])
def test_all_of_a_small_theme_and_never_one_twice(images):
    theme = Theme(3, None, 1.0, tuple(member(n, n / 1000) for n in range(images)))
    shown = [member.id for member in pages.pictured(theme)]
    assert shown == sorted(set(shown))
    assert len(shown) == min(images, 24)
    assert (shown[0], shown[-1]) == (0, images - 1)
    assert ("not shown" in Sheet(Clusters(RUN, (theme,), SOME.drift), {}).text) == (images > 24)


def test_one_more_image_is_one_image():
    theme = Theme(3, None, 1.0, tuple(member(n, n / 1000) for n in range(25)))
    assert "1 more image not shown." in Sheet(Clusters(RUN, (theme,), SOME.drift), {}).text


def test_a_hostile_name():
    hostile = replace(BOATS, name=EVIL, images=(Member(12, "/p/" + EVIL, 0.1, 0.2),))
    page = Sheet(Clusters(RUN, (hostile,), SOME.drift), {})
    assert {tag for tag, _, _ in page.tags}.isdisjoint({"script", "link", "iframe"})
    assert page.text.count(printable(EVIL)) == 2
    assert "\u202e" not in page.text


def test_before_a_run():
    page = Sheet(Clusters(None, (), None), {})
    assert clusters_sentences(Clusters(None, (), None))[0] in page.text
    assert not page.figures


def test_so_many_themes_have_pictures(monkeypatch):
    monkeypatch.setattr(pages, "PICTURED", 1)
    page = Sheet(SOME, files(12, 20))
    assert page.asked == [12]
    assert "Only the first 1 are shown with pictures; 1 more theme:" in page.text
    assert "/p/20.jpg" in page.text


def test_it_comes_in_pieces():
    themes = tuple(replace(OTHER, id=n) for n in range(200))
    asked: list[int] = []
    pieces = pages.clusters_html(
        replace(SOME, themes=themes), lambda image: asked.append(image) or b"x" * 10_000, files(20)
    )
    next(pieces)
    assert len(asked) < 30
    assert max(map(len, pieces)) < 1_000_000
