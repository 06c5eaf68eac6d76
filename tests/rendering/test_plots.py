"""Plots of a run, as files that a browser shows."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from imgindex.clustering.records import Candidate, Clusters, Drift, Lineage, Member, Run, Theme
from imgindex.errors import StorageError, UsageError
from imgindex.rendering.plots import NAME, SHOWN, write_plots

ROOT = Path(__file__).resolve().parents[2]
EVIL = os.fsdecode(b"$x_{$ <b>&\n\x00\xff\x1b") + "\u202e日本🐈"


def run(*ks: int, k: int, elbow: int | None = None, error: float = 0.0) -> Run:
    curve = tuple(Candidate(one, 100 / one, 0.0 if one == 1 else 0.3, error) for one in ks)
    return Run(
        id=1, created="2025-02-03T04:05:06+00:00", seconds=1, why="It was asked for.", images=40, k=k, elbow=elbow,
        silhouette=0.27, curve=curve, model="fake", space=1, far=0.4, lineage=Lineage(),
    )  # fmt: skip


def theme(number: int, silhouettes: list[float | None], name: str | None = None) -> Theme:
    members = (Member(100 * number + n, f"/p/{n}.jpg", n / 1000, one) for n, one in enumerate(silhouettes))
    return Theme(number, name, 0.5, tuple(members))


SOME = Clusters(
    run(1, 2, 3, 4, 5, k=3, elbow=2, error=0.01),
    (theme(4, [0.5, 0.4, -0.2, None], "Boats"), theme(7, [0.1, 0.3]), theme(9, [0.2])),
    Drift(6, 1, 0, 0),
)


class Plot:
    """What a browser would see."""

    def __init__(self, path: Path) -> None:
        root = ElementTree.parse(path).getroot()
        self.lines = ["".join(element.itertext()).strip() for element in root.iter() if element.tag.endswith("}text")]
        self.text = "\n".join(self.lines)
        self.bytes = path.stat().st_size
        height = root.get("height")
        assert height is not None
        self.height = float(height.removesuffix("pt")) / 72


def plots(clusters: Clusters, folder: Path) -> tuple[Plot, Plot, Plot]:
    curve, silhouettes, sizes = write_plots(clusters, folder)
    assert [path.name for path in (curve, silhouettes, sizes)] == ["curve.svg", "silhouettes.svg", "sizes.svg"]
    return Plot(curve), Plot(silhouettes), Plot(sizes)


def test_plots_say_what_they_show(tmp_path):
    curve, silhouettes, sizes = plots(SOME, tmp_path / "new" / "folder")
    assert {
        "How many themes? 3 for 40 images",
        "the elbow, after which it falls slowly: 2",
        "chosen: 3",
        "the run, on all images: 0.27",
    } <= {*curve.lines}
    assert "standard error" in curve.text
    assert [line for line in silhouettes.lines if line.endswith(")")] == ["Boats (3)", "Theme 7 (2)", "Theme 9 (1)"]
    assert "mean: 0.27" in silhouettes.lines
    assert "Not shown: 1 image added since the run" in silhouettes.text
    assert {"Boats", "Theme 7", "4 (57.1%)", "2 (28.6%)", "added since"} <= {*sizes.lines}
    assert "7 images in 3 themes" in sizes.text
    assert "Not shown" not in sizes.text


def test_what_is_not_there_is_not_shown(tmp_path):
    quiet = Clusters(run(1, 2, 3, k=2), (theme(1, [0.1, 0.2]), theme(2, [0.3])), Drift(3, 0, 0, 0))
    curve, silhouettes, sizes = plots(quiet, tmp_path)
    assert "no elbow" in curve.lines
    assert "the elbow" not in curve.text
    assert "standard error" not in curve.text
    assert "Not shown" not in silhouettes.text
    assert "added since" not in sizes.text


def test_the_same_clusters_give_the_same_files(tmp_path):
    code = "import sys, pathlib; from tests.rendering.test_plots import *; write_plots(SOME, pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "other")], check=True, cwd=ROOT)
    for path in write_plots(SOME, tmp_path / "one"):
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()
        assert b"<dc:date>" not in path.read_bytes()
    before = (tmp_path / "one" / "curve.svg").read_bytes()
    write_plots(replace(SOME, run=replace(SOME.run, elbow=4)), tmp_path / "one")
    assert (tmp_path / "one" / "curve.svg").read_bytes() != before


def test_one_image(tmp_path):
    alone = Clusters(replace(run(1, k=1), images=1, silhouette=0.0), (theme(1, [0.0]),), Drift(1, 0, 0, 0))
    curve, silhouettes, sizes = plots(alone, tmp_path)
    assert "How many themes? 1 for 1 image" in curve.lines
    assert curve.lines.count("1") == 1  # of the axis of k
    assert "there is only one theme" in silhouettes.text
    assert "1 (100.0%)" in sizes.lines


@pytest.mark.parametrize(
    "themes",
    [(), (theme(1, [None, None]),), (theme(1, [None]), theme(2, [0.1]))],
    ids=["all are gone", "all are new", "one has only new ones"],
)
def test_what_is_left_of_a_run(themes, tmp_path):
    _, silhouettes, _ = plots(Clusters(run(1, 2, k=2), themes, Drift(2, 0, 0, 0)), tmp_path)
    assert [line for line in silhouettes.lines if line.startswith("Theme")] == ["Theme 2 (1)"][: len(themes) // 2]


def test_a_long_curve_has_a_log_scale_with_the_chosen_k(tmp_path):
    long, *_ = plots(replace(SOME, run=run(1, 2, 3, 10, 90, k=200)), tmp_path)
    assert {"1", "2", "5", "10", "20", "50", "100", "200", "chosen: 200"} <= {*long.lines}
    short, *_ = plots(replace(SOME, run=run(1, 2, 3, 4, k=6)), tmp_path)
    assert {"1", "2", "3", "4", "5", "6"} <= {*short.lines}


def test_large_collections_stay_readable_and_small(tmp_path):
    wave = [((n * 37) % 100 - 20) / 100 for n in range(3000)]
    many = [theme(n, wave[: 3000 - 20 * n]) for n in range(SHOWN + 60)]
    _, silhouettes, sizes = plots(replace(SOME, themes=tuple(many)), tmp_path)
    left = sum(3000 - 20 * n for n in range(SHOWN, SHOWN + 60))
    for plot in silhouettes, sizes:
        assert f"Theme {SHOWN - 1}" in plot.text
        assert f"Theme {SHOWN}" not in plot.text
        assert f"Not shown: 60 smaller themes with {left} images in all." in plot.text
        assert plot.bytes < 150_000
        assert 8 < plot.height < 20  # inches: a line of text for each theme
    assert "only 64 images are drawn, evenly spread" in silhouettes.text


def test_names_of_any_letters(tmp_path):
    names = [EVIL, "日" * 200, "_hidden", "$", "x" * 10_000, " "]
    themes = tuple(theme(n, [0.1, 0.2], name) for n, name in enumerate(names))
    _, silhouettes, sizes = plots(replace(SOME, themes=themes), tmp_path)
    start = "$x_{$ <b>&\\n\\x00\\xff"
    for plot in silhouettes, sizes:
        assert any(line.startswith(start) for line in plot.lines)
        assert "日" * 13 + "…" in plot.text
        assert "日" * 15 not in plot.text
        assert "_hidden" in plot.text
        assert "x" * (NAME - 1) + "…" in plot.text
        assert "x" * NAME not in plot.text


def test_before_a_run(tmp_path):
    with pytest.raises(UsageError, match=r"^There is no run to plot yet; recluster first\.$"):
        write_plots(Clusters(None, (), None), tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "sizes.svg").mkdir(parents=True)
    for folder in tmp_path / "file", tmp_path / "file" / "inside", tmp_path / "folder":
        with pytest.raises(StorageError, match=r"cannot be written \(.+\); name another folder\.$"):
            write_plots(SOME, folder)


def test_the_style_of_others_neither_matters_nor_changes(tmp_path):
    import matplotlib

    write_plots(SOME, tmp_path / "one")
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30, "svg.fonttype": "path"}):
        before = dict(matplotlib.rcParams)
        write_plots(SOME, tmp_path / "other")
        assert dict(matplotlib.rcParams) == before
    for name in "curve.svg", "silhouettes.svg", "sizes.svg":
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_matplotlib_is_imported_when_it_draws_and_never_needs_a_display(tmp_path):
    code = """if True:
        import sys, pathlib
        import imgindex.rendering.plots
        assert "matplotlib" not in sys.modules
        from tests.rendering.test_plots import SOME
        imgindex.rendering.plots.write_plots(SOME, pathlib.Path(sys.argv[1]))
        assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
    """
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path)], check=True, cwd=ROOT, env={"HOME": str(tmp_path)}
    )
