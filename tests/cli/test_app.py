"""The command line: its JSON, its exit codes, its sentences."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from imgindex import ImageIndex, IndexFormatError, Sandbox, decoder_sandbox
from tests.conftest import write_picture


def test_add_as_the_contract_says(run, photos):
    (photos / "bad.jpg").write_bytes(b"no picture")
    result = run("add", photos, "--json")
    assert result.code == 0
    assert result.json.pop("seconds") > 0
    (failure,) = result.json["failed"]
    assert failure == {"path": str(photos / "bad.jpg"), "reason": failure["reason"]}
    assert {key: result.json[key] for key in ("added", "unchanged", "moved", "images", "files")} == {
        "added": 5,
        "unchanged": 0,
        "moved": 0,
        "images": 5,
        "files": 5,
    }


def test_add_in_words(run, photos):
    (photos / "bad.jpg").write_bytes(b"no picture")
    result = run("add", photos)
    assert "5 files added, 0 unchanged, 0 moved, 1 not readable" in result.out
    assert "bad.jpg: " in result.out
    assert result.code == 0
    assert run("add", photos, "--strict").code == 1


def test_add_of_an_empty_folder(run, tmp_path):
    (tmp_path / "empty").mkdir()
    result = run("add", tmp_path / "empty")
    assert (result.code, "0 files added" in result.out) == (0, True)


def test_a_long_list_is_cut_in_words_only(run, tmp_path):
    for number in range(15):
        (tmp_path / "bad" / f"{number}.jpg").parent.mkdir(exist_ok=True)
        (tmp_path / "bad" / f"{number}.jpg").write_bytes(b"no picture")
    assert "and 5 more; use --json to see all" in run("add", tmp_path / "bad").out
    assert len(run("add", tmp_path / "bad", "--json").json["failed"]) == 15


def test_similar_as_the_contract_says(run, photos, tmp_path):
    run("add", photos)
    found = run("similar", photos / "0.png", "-k", "2", "--json").json
    assert found["query"]["path"] == str(photos / "0.png")
    assert len(found["results"]) == 2
    assert {*found["results"][0]} == {"id", "path", "similarity"}
    assert run("similar", "--id", found["query"]["id"], "-k", 2, "--json").json == found
    other = run("similar", write_picture(tmp_path / "other.png", 50), "--json").json
    assert other["query"] == {"id": None, "path": str(tmp_path / "other.png")}
    assert "%" in run("similar", photos / "0.png").out


def test_remove_sync_check_as_the_contract_says(run, photos):
    run("add", photos)
    told = {"removed": 1, "images": 4, "files": 4, "deleted": 0, "uploads_kept": 0}
    assert run("remove", photos / "0.png", "--json").json == told
    (photos / "1.png").unlink()
    synced = run("sync", "--json").json
    assert (synced["added"], synced["missing"]) == (1, [str(photos / "1.png")])
    assert "1.png" in run("sync").out
    here = decoder_sandbox()
    told = {"state": here.state, "lacking": list(here.lacking)}
    assert run("check", "--json").json == {"ok": True, "problems": [], "sandbox": told}


def test_check_says_how_far_the_decoder_is_shut_in(run, photos, monkeypatch):
    run("add", photos)
    for sandbox, state in (
        (Sandbox(True, True), "whole"),
        (Sandbox(True, False), "partial"),
        (Sandbox(False, False), "none"),
    ):
        monkeypatch.setattr("imgindex.cli.app.decoder_sandbox", lambda told=sandbox: told)
        checked = run("check", "--json")
        assert (checked.code, checked.json["ok"], checked.json["sandbox"]["state"]) == (0, True, state)
        healthy, *lines = run("check").out.splitlines()
        assert healthy == "The index is healthy."
        assert lines == (list(sandbox.lacking) or ["The process that decodes pictures is shut in completely."])


def test_check_repairs(run, photos, tmp_path):
    run("add", photos)
    vectors = tmp_path / "index" / "vectors.faiss"
    vectors.write_bytes(vectors.read_bytes()[:-1])
    broken = run("check", "--json")
    assert (broken.code, broken.json["ok"], len(broken.json["problems"])) == (1, False, 1)
    assert "imgindex check --repair" in broken.err
    assert "--" not in broken.json["problems"][0].replace(str(tmp_path), "")  # the library knows no options
    repaired = run("check", "--repair", "--json").json
    assert (repaired["ok"], repaired["problems"]) == (True, [])
    assert run("check").out.startswith("The index is healthy.\n")


def test_the_command_line_adds_how_to_get_out_of_it(run, tmp_path):
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "index.db").write_bytes(b"something else" * 100)
    with pytest.raises(IndexFormatError) as refused:
        ImageIndex(tmp_path / "index")
    assert "--" not in str(refused.value).replace(str(tmp_path), "")
    shown = run("check")
    assert (shown.code, shown.err) == (1, f"imgindex: {refused.value} Name another folder with --index.\n")


def test_models_as_the_contract_says(run):
    models = {model["name"]: model for model in run("models", "--json").json["models"]}
    assert {name: model["dimension"] for name, model in models.items()} == {"vgg16-fc2": 4096, "vgg16-gem": 512}
    assert all({*model} == {"name", "dimension", "weights", "ready"} for model in models.values())


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["add", "nowhere"], 2, "nowhere does not exist"),
        (["add"], 2, "Missing argument"),
        (["similar"], 2, "Name exactly one picture"),
        (["similar", "0.png", "--id", "1"], 2, "Name exactly one picture"),
        (["similar", "0.png", "-k", "0"], 2, "-k"),
        (["similar", "nowhere"], 2, "nowhere does not exist"),
        (["similar", "--id", "99"], 1, "no image 99"),
        (["remove", "99"], 1, "no image 99 in the index"),
        (["add", "0.png", "--model", "vgg19"], 1, "begun with the model fake, not vgg19"),
        (["unknown"], 2, "No such command"),
    ],
)
def test_errors_are_a_sentence_and_an_exit_code(run, photos, monkeypatch, arguments, code, sentence):
    run("add", photos)
    monkeypatch.chdir(photos)
    result = run(*arguments)
    assert result.code == code
    assert sentence in result.err
    assert result.out == ""
    assert "Traceback" not in result.err


@pytest.mark.parametrize("command", [["similar", "--id", "1"], ["check"], ["sync"], ["remove", "1"]])
def test_without_an_index_there_is_a_way_out(run, command, tmp_path):
    result = run(*command)
    assert (result.code, "There is no index in" in result.err, "imgindex add" in result.err) == (1, True, True)
    assert not (tmp_path / "index").exists()


def test_names_that_are_not_text(run, photos):
    name = os.fsdecode(b"\xff\nodd.png")
    write_picture(photos / "plain.png", 9).rename(photos / name)
    (photos / os.fsdecode(b"\xfe.jpg")).write_bytes(b"no picture")
    result = run("add", photos)
    assert result.code == 0
    assert "\\xfe.jpg: " in result.out
    assert str(photos / name) in [hit["path"] for hit in run("similar", photos / "0.png", "--json").json["results"]]
    assert "\\xff\\nodd.png" in run("similar", photos / "0.png").out


def imgindex(*arguments: Any, **environment: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys, imgindex.cli.app as cli\n"
        "try: cli.main()\n"
        "finally: print(*sorted({'tensorflow', 'keras', 'sklearn', 'matplotlib'} & {*sys.modules}), file=sys.stderr)"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_no_command_that_needs_no_model_imports_one(run, photos, tmp_path):
    run("add", photos)
    for arguments in (
        ["--help"],
        ["add", photos],
        ["similar", "--id", 1],
        ["similar", photos / "1.png"],
        ["check"],
        ["models"],
        ["sync"],
        ["remove", 1],
    ):
        done = imgindex(*arguments, IMGINDEX_DIR=str(tmp_path / "index"))
        assert done.returncode == 0, done.stderr
        assert done.stderr.splitlines()[-1] == "", arguments


def test_the_index_option_wins_over_the_environment(run, photos, tmp_path):
    run("add", photos, "--index", tmp_path / "other")
    assert (tmp_path / "other" / "index.db").exists()
    assert not (tmp_path / "index").exists()


def test_watch_takes_what_comes(run, photos, tmp_path):
    run("add", photos)
    copied = (photos / "0.png").read_bytes()
    with subprocess.Popen(
        [Path(sys.executable).parent / "imgindex", "watch", photos, "--json"],
        env=os.environ | {"IMGINDEX_DIR": str(tmp_path / "index")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stderr is not None
        while "Watching" not in watching.stderr.readline():
            assert watching.poll() is None
        (photos / "copy.png").write_bytes(copied)  # known bytes, so no model is needed
        assert "1 file added" in watching.stderr.readline()
        watching.send_signal(signal.SIGINT)
        out, _ = watching.communicate(timeout=20)
    assert watching.returncode == 0
    assert {key: json.loads(out)[key] for key in ("added", "files", "missing")} == {
        "added": 1,
        "files": 6,
        "missing": [],
    }
