"""Calibration: what an index finds among edits of photos, counted."""

from itertools import count

import numpy as np
import pytest
from skimage import data
from sklearn.datasets import load_sample_image

from imgindex import UsageError
from imgindex.evaluation import EDITS, LEAST, Calibration, calibrate
from imgindex.rendering.exports import calibration_json
from tests.conftest import FakeEmbedder


@pytest.fixture(scope="module")
def pictures():
    return [data.astronaut(), data.coffee(), data.chelsea(), load_sample_image("china.jpg")]


@pytest.fixture(scope="module")
def measured(pictures, tmp_path_factory):
    return calibrate(pictures, FakeEmbedder(), tmp_path_factory.mktemp("calibration"))


def test_finds_edits_of_photos_and_nothing_else(measured, pictures):
    assert measured.photos == len(pictures)
    assert measured.precision == 1
    assert measured.recall > 0.9
    assert measured.by_edit.keys() == EDITS.keys()


def test_survives_json(measured):
    assert calibration_json(measured)["recall"] == measured.recall


def test_leaves_nothing_behind_and_tells_how_far_it_is(pictures, tmp_path):
    steps = []
    calibrate(pictures[:LEAST], FakeEmbedder(), tmp_path, progress=lambda done, total: steps.append((done, total)))
    assert not list(tmp_path.iterdir())
    assert steps[-1] == (7 * LEAST, 7 * LEAST)


@pytest.mark.parametrize("photos", range(LEAST))
def test_refuses_too_few_photos(photos, pictures, tmp_path):
    with pytest.raises(UsageError, match=f"at least {LEAST} photos"):
        calibrate(pictures[:photos], FakeEmbedder(), tmp_path)


def test_counts_different_photos_in_one_group_as_wrong(pictures, tmp_path):
    found = calibrate([*pictures[:LEAST], pictures[0]], FakeEmbedder(), tmp_path)
    assert found.precision < 1


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (3, 900), (2000, 1500)])
def test_takes_pictures_of_any_size(shape, tmp_path):
    noise = [np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8) for seed in range(LEAST)]
    assert calibrate(noise, FakeEmbedder(), tmp_path).photos == LEAST


def test_says_when_and_how_well():
    rising = count(34)
    found = Calibration("2026-05-04T03:02:01+00:00", 40, 820, 819, {edit: next(rising) for edit in EDITS}, 60.0)
    assert found.sentence() == (
        "Calibrated on 2026-05-04 with 6 edits of each of 40 of your photos: "
        "97.5% of the copies were found (worst: crop, 85.0%), and 99.8% of what was found was right."
    )
    assert found.recall_of("half") == 39 / 40


def test_never_rounds_up_to_all():
    nearly = Calibration("2026-05-04T03:02:01+00:00", 1000, 21_000, 20_999, dict.fromkeys(EDITS, 1000), 60.0)
    assert "99.9% of the copies" in nearly.sentence()
    assert "99.9% of what was found" in nearly.sentence()


def test_nothing_found_is_nothing_wrong():
    assert Calibration("2026-05-04T03:02:01+00:00", 3, 0, 0, dict.fromkeys(EDITS, 0), 1.0).precision == 1
