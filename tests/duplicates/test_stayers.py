"""What becomes of the files of a shot whose raw and developed pictures are in two groups."""

from dataclasses import replace

from imgindex.cleanup.plan import plan
from imgindex.duplicates.grouping import Component
from imgindex.duplicates.records import Group, Held
from imgindex.duplicates.stayers import Stayers
from imgindex.facts import Facts
from imgindex.records import ImageFile
from imgindex.retention.policies import Policies
from imgindex.retention.relations import Relation, same_pixels

JPEG, RAW = Facts("jpeg", quality=92, detail=1.0), Facts("nef", raw=True, bits=14, detail=1.0)


def file(path: str, image: int, mtime_ns: int) -> ImageFile:
    return ImageFile(path, image, 1000, 1000, 1000, mtime_ns, bytes([image]) * 32)


def groups(policies: Policies, *files: ImageFile, relations: tuple[Relation, ...] = ()) -> list[Group]:
    """The JPEGs (odd images) as the first group and the raw files (even ones) as the second."""
    facts = {one.image: RAW if one.image % 2 == 0 else JPEG for one in files}
    stayers = Stayers(
        facts, {(one.a, one.b): one for one in relations}, [one for one in files if not one.path.endswith("alone.jpg")],
        policies, kept=(), uploads="/index/uploads",
    )  # fmt: skip
    made = []
    for rest in (1, 0):
        own = [one for one in files if one.image % 2 == rest]
        component = Component(frozenset(one.image for one in own), None, False)
        made.append(stayers.group(2 - rest, component, own))
    return made


def goes(found: list[Group]) -> set[str]:
    return {one.path for group in found for one in group.redundant}


SHOTS = (file("/a/I.jpg", 1, 1), file("/b/I.jpg", 1, 9), file("/a/I.nef", 2, 9), file("/b/I.nef", 2, 1))


def test_both_halves_of_a_shot_stay_in_one_folder():
    """Though the older JPEG is in the one and the older raw file in the other."""
    assert goes(groups(Policies(), *SHOTS)) in ({"/a/I.jpg", "/a/I.nef"}, {"/b/I.jpg", "/b/I.nef"})
    assert goes(groups(Policies(separate_raw=True), *SHOTS)) == {"/b/I.jpg", "/a/I.nef"}


def test_a_raw_file_stays_for_a_jpeg_beside_it_that_no_other_holds():
    found = groups(Policies(), *SHOTS[1:])
    assert goes(found) == {"/a/I.nef"}  # which is alone; /b has both halves
    other = groups(Policies(), *SHOTS[2:], file("/b/I.jpg", 3, 1), file("/a/I.jpg", 1, 1))
    assert goes(other) == set()


def test_two_raw_files_of_one_name_both_belong_to_the_shot():
    found = groups(Policies(), *SHOTS, file("/a/I.dng", 4, 1))
    assert "/a/I.jpg" not in goes(found)
    assert "/a/I.nef" not in goes(found)
    assert {one.unit for group in found for one in group.files if one.path.startswith("/a")} == {"/a/i"}


def test_a_plan_of_a_part_tears_no_shot_apart():
    small = file("/b/I.jpg", 3, 9)
    held = replace(same_pixels(1, 3), kind="version")
    files = (SHOTS[0], small, *SHOTS[2:])
    found = groups(Policies(), *files, relations=(held,))
    assert goes(found) == {"/b/I.jpg", "/b/I.nef"}
    only: Held = "exact"
    part = plan(found, "trash", only=only)
    assert [step.path for step in part.steps] == ["/b/I.nef"]
    whole = part.whole(found)
    assert whole.steps == ()
    assert whole.skipped[-1].reason == "belongs to /b/I.jpg, which is not in this plan"
    assert plan(found, "trash").whole(found) == plan(found, "trash")
