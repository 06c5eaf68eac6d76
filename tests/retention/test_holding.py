"""What stays holds what goes."""

import random
import time
from dataclasses import replace
from itertools import combinations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from imgindex.errors import UsageError
from imgindex.facts import Facts
from imgindex.retention.gaps import CHAINED
from imgindex.retention.holding import Decision, decide
from imgindex.retention.relations import Relation
from imgindex.retention.units import File

PLAIN = Facts("jpeg", quality=92, subsampling="4:2:0", detail=1.0, noise=1.0)
ITSELF = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
LEFT_RIGHT = (-1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
UPSIDE_DOWN = (1.0, 0.0, 0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 1.0)
VERSION = Relation(0, 0, "version", 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, ITSELF, False)


def relation(a: int, b: int, **changes) -> Relation:
    """A version; where one shows more than the other, around its middle."""
    zoom = (changes.get("share_b", 1.0) / changes.get("share_a", 1.0)) ** 0.5
    around = (zoom, 0.0, (1 - zoom) / 2, 0.0, zoom, (1 - zoom) / 2, 0.0, 0.0, 1.0)
    return replace(VERSION, **({"a": a, "b": b, "transform": around} | changes))


def file(path: str, image: int, **changes) -> File:
    return replace(File(path, image, 1000, 1000, 1000, 0, 0, 0), **changes)


def why(decisions: tuple[Decision, ...]) -> dict[str, str]:
    return {each.file.path: each.why for each in decisions}


def goes(decisions: tuple[Decision, ...]) -> list[str]:
    return sorted(each.file.path for each in decisions if not each.stays)


def two(x: Facts = PLAIN, y: Facts = PLAIN, *, x_file: dict | None = None, y_file: dict | None = None, **changes):
    """What becomes of a.jpg, image 1, and b.jpg, image 2."""
    files = [file("/p/a.jpg", 1, **(x_file or {})), file("/p/b.jpg", 2, **(y_file or {}))]
    return decide(files, {1: x, 2: y}, [relation(1, 2, **changes)])


# What holds what


def test_a_small_copy_is_held_by_the_large_one():
    decisions = two(y=replace(PLAIN, detail=0.25), finer=1.0)
    assert goes(decisions) == ["/p/b.jpg"]
    assert decisions[1].held_by == 1
    assert decisions[1].holder == "/p/a.jpg"
    assert why(decisions) == {
        "/p/a.jpg": "holds all the others, with 4 times the detail",
        "/p/b.jpg": "a.jpg holds all of it, with 4 times the detail",
    }


def test_the_end_of_a_strip_that_a_copy_lacks_is_no_rounding():
    kept = {"kept": True}
    assert goes(two(y_file=kept, share_a=0.99)) == ["/p/a.jpg"]
    long = {"width": 240, "height": 9600}
    assert goes(two(x_file=long, y_file=long | {"height": 9504} | kept, share_a=0.99)) == []


def test_a_crop_is_held_by_the_whole_picture():
    decisions = two(y=replace(PLAIN, detail=0.7), share_a=0.7)
    assert goes(decisions) == ["/p/b.jpg"]
    assert why(decisions)["/p/b.jpg"] == "a.jpg holds all of it, with more around it"


@pytest.mark.parametrize("kind", ["part", "edited", "alike"])
def test_nothing_goes_that_is_no_version(kind):
    assert goes(two(kind=kind)) == []


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"raw": True}, "has the data of the sensor"),
        ({"frames": 3}, "has 3 frames, and b.jpg is not known to have all of them"),
        ({"extra": True}, "has a film or further pictures in it, which b.jpg does not have"),
        ({"alpha": True}, "has transparency, which b.jpg does not have"),
        ({"bits": 16}, "has 16 bits a channel, b.jpg only 8"),
        ({"detail": 4.0}, "has 2.0 times the detail of b.jpg"),
        ({"captured": "2019-06-01T12:00:00"}, "has the capture time that no other has"),
        ({"latitude": 59.9, "longitude": 10.7}, "has the place that no other has"),
        ({"unread": True}, "has metadata that cannot be read, so b.jpg is not known to have it"),
        ({"camera": "Acme One", "rating": 5}, "has the camera and rating that no other has"),
    ],
)
def test_a_file_stays_for_what_the_other_lacks(more, sentence):
    kept = two(replace(PLAIN, **more), replace(PLAIN, detail=2.0), share_b=0.5)  # and the other shows more
    assert goes(kept) == []
    assert why(kept)["/p/a.jpg"] == sentence
    assert "/p/a.jpg" not in goes(two(replace(PLAIN, **more)))


def test_a_grey_copy_is_held_by_the_coloured_one():
    assert goes(two(y=replace(PLAIN, colour=False), place_ba=0.4)) == ["/p/b.jpg"]


def test_strong_compression_does_not_hold_what_is_compressed_less():
    assert goes(two(y=replace(PLAIN, quality=50))) == ["/p/b.jpg"]
    assert goes(two(y=replace(PLAIN, quality=50, captured="2019-06-01T12:00:00"))) == []


def test_edges_of_blocks_are_no_detail():
    blocky = replace(PLAIN, quality=50, detail=2.0)
    assert "/p/a.jpg" not in goes(two(y=blocky, finer=-0.4))
    less = two(replace(PLAIN, quality=95, detail=0.7), replace(PLAIN, quality=85))
    assert goes(less) == ["/p/b.jpg"]


def test_dither_does_not_hold_what_it_was_made_of():
    assert "/p/a.jpg" not in goes(two(y=replace(PLAIN, detail=2.0), noisier=-6.5, finer=-0.5))
    assert goes(two(replace(PLAIN, quality=40), noisier=-6.5)) == ["/p/a.jpg"]  # compression took the noise


def test_grain_that_compression_took_is_not_held():
    smooth = two(noisier=6.0)
    assert "/p/a.jpg" not in goes(smooth)
    assert why(smooth)["/p/a.jpg"] == "has a grain, or fine detail, that b.jpg does not have"


def test_measures_that_contradict_each_other_hold_nothing():
    kept = two(y=replace(PLAIN, detail=0.95), share_b=0.4, finer=-0.55)
    assert goes(kept) == []
    assert "measures of it disagree" in why(kept)["/p/a.jpg"]


def test_a_copy_that_covers_a_part_with_a_band_is_not_held():
    covered = two(share_a=0.9, transform=ITSELF)
    assert goes(covered) == []
    assert why(covered)["/p/b.jpg"] == "covers a part of what a.jpg shows"


def test_an_apparent_enlargement_does_not_hold_what_it_may_be_made_of():
    doubtful = two(finer=-1.0, y_file={"width": 2000, "height": 2000})
    assert goes(doubtful) == []
    assert goes(two(replace(PLAIN, detail=0.25), finer=-1.0)) == ["/p/a.jpg"]


def test_a_noisy_copy_does_not_hold_the_clean_one():
    assert "/p/a.jpg" not in goes(two(noisier=-15.0, finer=-0.4))


@pytest.mark.parametrize(
    ("x", "y", "held"),
    [
        ("2019-06-01T12:00:00", "2019-06-01T12:00:00.250+02:00", True),
        ("2019-06-01T12:00:00.250", "2019-06-01T12:00:00", False),
        ("2019-06-01T12:00:00+02:00", "2019-06-01T12:00:00", False),
        ("2019-06-01T12:00:00+02:00", "2019-06-01T10:00:00Z", False),
        ("1904-01-01T00:00:00", "2019-06-01T12:00:00", False),
        ("yesterday", "yesterday", True),
        ("yesterday", "2099-01-01T00:00:00", False),
    ],
)
def test_a_capture_time_is_held_by_one_that_says_as_much(x, y, held):
    assert ("/p/b.jpg" in goes(two(replace(PLAIN, captured=y), replace(PLAIN, captured=x)))) == held


def test_nothing_goes_that_has_not_been_looked_at():
    files = [file("/p/a.jpg", 1), file("/p/b.jpg", 2)]
    assert goes(decide(files, {1: PLAIN}, [relation(1, 2)])) == []
    unseen = decide(files, {1: PLAIN, 2: PLAIN}, [])
    assert goes(unseen) == []
    assert "has not been compared closely" in unseen[1].why


def test_the_same_bytes_are_held_without_a_look():
    decisions = decide([file("/p/a (1).jpg", 1), file("/p/a.jpg", 1)], {}, [])
    assert goes(decisions) == ["/p/a (1).jpg"]
    assert why(decisions)["/p/a (1).jpg"] == "a.jpg has the same bytes"


def test_a_chain_holds_while_what_is_lost_on_the_way_stays_within_the_tolerance():
    files = [file(f"/p/{name}.jpg", at) for at, name in enumerate("abc")]
    facts = {at: replace(PLAIN, quality=92 - 20 * at) for at in range(3)}
    near = decide(files, facts, [relation(0, 1, share_b=0.995), relation(1, 2, share_b=0.995)])
    assert goes(near) == ["/p/b.jpg", "/p/c.jpg"]
    far = decide(files, facts, [relation(0, 1, share_b=0.985), relation(1, 2, share_b=0.985)])
    assert goes(far) == ["/p/b.jpg"]
    seen = decide(files, facts, [relation(0, 1), relation(1, 2), relation(0, 2, kind="edited")])
    assert goes(seen) == ["/p/b.jpg"]  # what was seen closely has the last word


def test_no_chain_leads_over_what_was_stretched():
    files = [file(f"/p/{at}.jpg", at) for at in range(1, 5)]
    facts = {at: replace(PLAIN, detail=detail) for at, detail in ((1, 4.0), (2, 4.0), (3, 2.35), (4, 1.38))}
    for stretched in (0, 1):
        relations = [relation(1, 2, stretched=stretched), relation(2, 3), relation(3, 4)]
        held = {each.file.image: each.held_by for each in decide(files, facts, relations)}
        assert held[1] in (None, 2)


def test_borders_add_up_along_a_chain():
    step = {"share_a": 1.0, "share_b": 0.975}
    files = [file(f"/p/{at}.jpg", at) for at in range(1, 4)]
    relations = [relation(1, 2, transform=ITSELF, **step), relation(2, 3, transform=ITSELF, **step)]
    held = {each.file.image: each.held_by for each in decide(files, dict.fromkeys((1, 2, 3), PLAIN), relations)}
    assert (held[1], held[3]) not in ((3, None), (None, 1))


def test_a_crowd_is_decided_soon():
    """Of more than CHAINED images no chains are followed."""
    count = 5 * CHAINED
    files = [file(f"/p/{at}.jpg", at) for at in range(count)]
    relations = [relation(0, at) for at in range(1, count)]
    began = time.process_time()
    decisions = decide(files, {at: replace(PLAIN, quality=60 if at else 92) for at in range(count)}, relations)
    assert time.process_time() - began < 2
    assert len(goes(decisions)) == count - 1


# Which is the original


def test_the_original_is_the_one_that_the_others_stand_upright_with():
    files = [file(f"/p/{name}.jpg", at) for at, name in enumerate(["left-right", "original", "upside-down", "crop"])]
    facts = dict.fromkeys(range(3), PLAIN) | {3: replace(PLAIN, detail=0.7)}
    turned = (-1.0, 0.0, 1.0, 0.0, -1.0, 1.0, 0.0, 0.0, 1.0)
    crop = (1.2, 0.0, -0.1, 0.0, 1.2, -0.1, 0.0, 0.0, 1.0)
    relations = [
        relation(0, 1, mirrored=True, transform=LEFT_RIGHT),
        relation(1, 2, mirrored=True, transform=UPSIDE_DOWN),
        relation(0, 2, transform=turned),
        relation(1, 3, transform=crop, share_a=0.7),
        relation(0, 3, transform=(-1.2, 0.0, 1.1, *crop[3:]), share_a=0.7, mirrored=True),
    ]
    decisions = decide(files, facts, relations)
    assert decisions[0].file.path == "/p/original.jpg"
    assert len(goes(decisions)) == 3


def test_an_enlargement_is_not_the_original():
    tiny, small = replace(PLAIN, detail=0.25), {"width": 500, "height": 500}
    assert goes(two(tiny, tiny, x_file=small)) == ["/p/b.jpg"]
    assert goes(two(tiny, tiny, y_file=small)) == ["/p/a.jpg"]
    assert goes(two(y_file={"width": 2000, "height": 2000})) == []  # the look saw a half of it


@pytest.mark.parametrize(
    ("order", "gone"), [(["oldest"], "/p/b.jpg"), (["path"], "/p/b.jpg"), (["pixels"], "/p/a.jpg")]
)
def test_a_tie_is_broken_by_what_a_person_asked_for(order, gone):
    files = [file("/p/a.jpg", 1, mtime_ns=5), file("/p/b.jpg", 2, mtime_ns=7, width=1010)]
    assert goes(decide(files, {1: PLAIN, 2: PLAIN}, [relation(1, 2)], order=order)) == [gone]


def test_an_unknown_order_is_refused():
    with pytest.raises(UsageError, match="not by colour"):
        decide([file("/p/a.jpg", 1)], {}, [], order=["colour"])


# Policies and units


@pytest.mark.parametrize(("policy", "sentence"), [("protected", "is protected"), ("kept", "you chose it")])
def test_a_file_stays_by_policy_though_it_is_held(policy, sentence):
    decisions = two(y=replace(PLAIN, detail=0.25), finer=1.0, y_file={policy: True})
    assert goes(decisions) == []
    assert why(decisions)["/p/b.jpg"] == sentence


def test_a_preferred_file_stays_where_both_could():
    assert goes(two(x_file={"preferred": True})) == ["/p/b.jpg"]
    assert goes(two(y_file={"preferred": True})) == ["/p/a.jpg"]


def test_a_file_in_passing_memory_holds_nothing_that_lasts():
    assert goes(two(x_file={"volatile": True})) == ["/p/a.jpg"]
    kept = decide([file("/shm/a.jpg", 1, volatile=True, protected=True), file("/p/a.jpg", 1)], {}, [])
    assert goes(kept) == []


def test_a_jpeg_stays_with_its_raw_file():
    raw = file("/p/1.nef", 1, unit="/p/1")
    files = [raw, file("/p/1.jpg", 2, unit="/p/1"), file("/q/larger.jpg", 3), file("/q/small.jpg", 4)]
    facts = {1: replace(PLAIN, raw=True), 2: PLAIN, 3: replace(PLAIN, detail=4.0), 4: replace(PLAIN, detail=0.5)}
    relations = [relation(1, 2), relation(2, 3, finer=-1.0), relation(1, 3, finer=-1.0), relation(3, 4, finer=1.5)]
    together = decide(files, facts, relations)
    assert goes(together) == ["/q/small.jpg"]
    assert why(together)["/p/1.jpg"] == "belongs to 1.nef, which stays"
    assert goes(decide(files, facts, relations, separate_raw=True)) == ["/p/1.jpg", "/q/small.jpg"]


def test_a_second_copy_of_a_raw_file_and_its_jpeg_goes_as_one():
    files = [
        file(f"/{folder}/1.{kind}", image, unit=f"/{folder}/1", mtime_ns=time)
        for folder, times in (("p", (1, 9)), ("q", (9, 1)))
        for kind, image, time in (("nef", 1, times[0]), ("jpg", 2, times[1]))
    ]
    assert goes(decide(files, {1: replace(PLAIN, raw=True), 2: PLAIN}, [relation(1, 2)])) == ["/q/1.jpg", "/q/1.nef"]


def test_paths_of_one_file_stay_together():
    linked = [file("/p/a.jpg", 1, inode=7), file("/q/a.jpg", 1, inode=7), file("/q/copy.jpg", 1, inode=8)]
    decisions = decide(linked, {}, [])
    assert goes(decisions) == ["/q/copy.jpg"]
    assert why(decisions)["/q/a.jpg"] == "is the same file as /p/a.jpg, so it takes no room of its own"


# Laws


def some(*values):
    return st.sampled_from([None, *values])


FACTS = st.builds(
    Facts,
    format=st.sampled_from(["jpeg", "png", "webp"]),
    frames=st.sampled_from([1, 1, 1, 3]),
    bits=st.sampled_from([8, 8, 16]),
    alpha=st.sampled_from([False, False, True]),
    colour=st.sampled_from([True, True, False]),
    raw=st.sampled_from([False] * 5 + [True]),
    quality=some(95, 90, 60),
    subsampling=some("4:2:0"),
    detail=st.sampled_from([1.0, 1.1, 2.0, 0.0]),
    noise=st.sampled_from([1.0, 9.0]),
    captured=some("2019-06-01T12:00:00", "2019-06-01T12:00:00.5", "2019-06-01T12:00:00+01:00", "never"),
    camera=some("Acme One"),
    serial=some("1"),
    unique=some("u"),
    latitude=some(59.9),
    longitude=some(10.7),
    rating=some(0, 5),
    unread=st.sampled_from([False] * 5 + [True]),
    software=some("a", "b"),
)
ALWAYS = st.just(PLAIN) | FACTS
CLOSE = {
    "kind": st.sampled_from(["version"] * 5 + ["same", "part", "edited", "alike"]),
    "score": st.just(1.0),
    "share_a": st.sampled_from([1.0, 0.99, 0.985, 0.7]),
    "share_b": st.sampled_from([1.0, 0.99, 0.985, 0.7]),
    "place_ab": st.sampled_from([0.0, 0.002, 0.02]),
    "place_ba": st.sampled_from([0.0, 0.002, 0.02]),
    "finer": st.sampled_from([0.0, 0.1, -0.1, 0.5, -0.5, float("nan")]),
    "noisier": st.sampled_from([0.0, 5.0, -12.0]),
    "transform": st.sampled_from([ITSELF, LEFT_RIGHT, UPSIDE_DOWN, (0.0,) * 9]),
    "mirrored": st.booleans(),
}
FLAG = st.sampled_from([False] * 6 + [True])


@st.composite
def worlds(draw):
    """Files, facts and relations of a group of up to seven images, as contradictory as they come."""
    images = list(range(1, draw(st.integers(1, 7)) + 1))
    facts = {image: draw(ALWAYS) for image in images if draw(st.integers(0, 9))}
    relations = [
        draw(st.builds(Relation, a=st.just(a), b=st.just(b), **CLOSE))
        for a, b in combinations(images, 2)
        if draw(st.integers(0, 4))
    ]
    heights = {image: draw(st.sampled_from([500, 1000])) for image in images}
    files = [
        File(
            f"/{draw(st.sampled_from('pq'))}/{at}.jpg",
            image := draw(st.sampled_from(images)),
            1000,
            heights[image],
            100,
            draw(st.integers(0, 2)),
            1,
            draw(st.sampled_from([0, 0, 1, 2])) * 100 + at // 2 if draw(FLAG) else 0,
            *(draw(FLAG) for _ in range(4)),
            draw(st.sampled_from([None] * 5 + ["u", "v"])),
        )
        for at in range(draw(st.integers(1, 10)))
    ]
    return files, facts, relations


def holds_by_facts(x: Facts, y: Facts) -> bool:
    """Said anew, and simply: y has all that x has."""
    tells = [
        (x.captured, y.captured),
        (x.camera, y.camera),
        (x.rating or None, y.rating),
        ((x.latitude, x.longitude) if None not in (x.latitude, x.longitude) else None, (y.latitude, y.longitude)),
    ]
    return (
        not (x.raw or x.unread)
        and (y.frames, y.bits, y.alpha, y.colour) >= (x.frames, 0, False, False)
        and y.bits >= x.bits
        and y.alpha >= x.alpha
        and y.colour >= x.colour
        and all(mine is None or str(theirs).startswith(str(mine)) for mine, theirs in tells)
    )


def reaches(x: int, y: int, relations: list[Relation]) -> bool:
    """Whether a few relations by which one picture lies wholly in the next lead from x to y."""
    ahead: dict[int, set[int]] = {}
    for r in relations:
        for a, b, share in ((r.a, r.b, r.share_a), (r.b, r.a, r.share_b)):
            if {a, b} == {x, y} and r.kind not in ("same", "version"):
                return False
            if r.kind in ("same", "version") and share >= 0.98:
                ahead.setdefault(a, set()).add(b)
    reached = {x}
    for _ in range(3):
        reached |= {b for a in reached for b in ahead.get(a, ())}
    return y in reached


LAW = settings(max_examples=200, deadline=None)


@LAW
@given(worlds(), st.booleans())
def test_nothing_goes_whose_loss_loses_something(world, separate_raw):
    files, facts, relations = world
    decisions = decide(files, facts, relations, separate_raw=separate_raw)
    at = {each.file.path: each for each in decisions}
    assert sorted(at) == sorted(file.path for file in files)
    for each in decisions:
        assert each.why
        assert each.stays == (each.holder is None) == (each.held_by is None)
        if not each.stays:
            holder = at[each.holder]
            assert holder.stays
            assert holder.file.image == each.held_by
            assert each.file.volatile or not holder.file.volatile
            if each.held_by != each.file.image:
                assert holds_by_facts(facts[each.file.image], facts[each.held_by])
                assert reaches(each.file.image, each.held_by, relations)


@LAW
@given(worlds())
def test_at_least_one_file_stays_and_all_that_a_policy_keeps(world):
    files, facts, relations = world
    decisions = decide(files, facts, relations)
    assert decisions[0].stays
    assert all(each.stays for each in decisions if each.file.kept or each.file.protected)
    assert 100 * len(goes(decisions)) / len(decisions) <= 100


@LAW
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_in_which_files_and_relations_come_does_not_matter(world, rng: random.Random):
    files, facts, relations = world
    mixed = [rng.sample(each, len(each)) for each in (files, relations)]
    assert decide(*mixed[:1], dict(reversed(facts.items())), mixed[1]) == decide(files, facts, relations)


@LAW
@given(worlds())
def test_what_stays_stays_when_it_is_asked_again(world):
    files, facts, relations = world
    stay = [each.file for each in decide(files, facts, relations) if each.stays]
    assert goes(decide(stay, facts, relations)) == []


@LAW
@given(worlds())
def test_a_unit_and_the_paths_of_one_file_stay_or_go_together(world):
    files, facts, relations = world
    by_unit: dict[object, set[bool]] = {}
    for each in decide(files, facts, relations):
        for key in (each.file.unit, each.file.inode and (each.file.device, each.file.inode)):
            if key:
                by_unit.setdefault(key, set()).add(each.stays)
    assert all(len(outcomes) == 1 for outcomes in by_unit.values())
