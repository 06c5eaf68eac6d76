"""The commands about themes, as a shell sees them."""

import pytest

from tests.conftest import write_picture


@pytest.fixture
def shell(run, tmp_path):
    """Commands on an index of 24 pictures."""
    for number in range(24):
        write_picture(tmp_path / "pictures" / f"{number}.png", seed=number)
    assert run("add", tmp_path / "pictures").code == 0
    return run


def test_recluster_and_clusters_by_the_contract(shell):
    made = shell("recluster", "--json").json
    assert made["ran"] is True
    assert {"run", "k", "elbow", "silhouette", "curve", "seconds"} <= made.keys()
    assert {"k", "inertia", "silhouette"} <= made["curve"][0].keys()
    seen = shell("clusters", "--json").json
    assert (seen["run"], seen["k"]) == (made["run"], made["k"])
    assert sum(cluster["size"] for cluster in seen["clusters"]) == 24
    assert sum(cluster["share"] for cluster in seen["clusters"]) == pytest.approx(1, abs=0.01)
    first = seen["clusters"][0]
    assert len(first["images"]) == first["size"]
    assert {"id", "path"} <= first["images"][0].keys()


def test_clusters_without_a_run_says_what_to_do(shell, tmp_path):
    assert "recluster" in shell("clusters").out
    assert shell("clusters", "--json").json == {"run": None, "k": 0, "clusters": [], "drift": None}
    plots = shell("clusters", "--plots", tmp_path / "plots")
    assert plots.code == 2
    assert "recluster" in plots.err


@pytest.mark.parametrize("count", ["0", "-1", "25"])
def test_an_impossible_number_of_clusters_is_wrong_usage(shell, count):
    refused = shell("recluster", "--clusters", count)
    assert (refused.code, refused.out) == (2, "")
    assert "clusters cannot be made of 24 images" in refused.err
    assert "Traceback" not in refused.err


def test_forced_clusters(shell):
    assert shell("recluster", "--clusters", "5", "--json").json["k"] == 5


def test_if_due_runs_once(shell):
    assert shell("recluster", "--if-due", "--json").json["why"] == "It is the first run."
    again = shell("recluster", "--if-due", "--every", "0 3 * * sun", "--json")
    assert (again.code, again.json["ran"], again.json["run"]) == (0, False, 1)
    assert shell("recluster", "--if-due").out.startswith("Not due")


def test_a_wrong_schedule_is_wrong_usage(shell):
    for every in ("soon", "0d", "61 * * * *", ""):
        refused = shell("recluster", "--if-due", "--every", every)
        assert refused.code == 2, every
        assert "is not a valid schedule" in refused.err
    assert shell("recluster", "--every", "7d").code == 2


def test_a_theme_is_named(shell):
    shell("recluster")
    assert "Holidays" in shell("clusters", "--rename", "1", "Holidays").out
    shell("recluster")
    names = {cluster["id"]: cluster["name"] for cluster in shell("clusters", "--json").json["clusters"]}
    assert names[1] == "Holidays"
    unknown = shell("clusters", "--rename", "99", "x")
    assert unknown.code == 1
    assert "no theme 99" in unknown.err


def test_plots_and_page_are_written(shell, tmp_path):
    shell("recluster")
    done = shell("clusters", "--plots", tmp_path / "plots", "--html", tmp_path / "page.html")
    assert done.code == 0
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["curve.svg", "silhouettes.svg", "sizes.svg"]
    assert done.err.count("Wrote ") == 3
    page = (tmp_path / "page.html").read_text()
    assert "data:image/jpeg;base64," in page
    assert "Theme 1" in page


def test_report_counts_by_theme_and_has_the_reference_table(shell, tmp_path):
    copy = tmp_path / "pictures" / "copy of 3.png"
    copy.write_bytes((tmp_path / "pictures" / "3.png").read_bytes())
    shell("add", copy)
    shell("recluster", "--clusters", "4")
    made = shell("report", "--json").json
    assert sum(cluster["images"] for cluster in made["clusters"]) == 24
    assert sum(cluster["files"] for cluster in made["clusters"]) == 25
    assert sum(cluster["redundant"] for cluster in made["clusters"]) == made["redundant"] == 1
    assert made["table"][-1] == {"cluster": "Total", "images": 24, "percent": 83.33}
    assert sum(row["percent"] for row in made["table"][:-1]) == pytest.approx(83.33, abs=0.03)
    assert "Theme" in shell("report").out
    first, total = made["table"][0], made["table"][-1]["percent"]
    assert first["percent"] == pytest.approx(first["images"] / 24 * total, abs=0.01)
    assert f"{first['percent']:.2f}%" in shell("report").out
