"""Tokens that are taken away, added or changed while the server runs."""

import json
import logging
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imgindex.server.middleware import keyring
from imgindex.server.middleware.tokens import add_token
from tests.support.serving import app_of, ask

PROGRAM = Path(sys.executable).parent / "imgindex"
GIVEN = "correct-horse-battery-staple"
REFUSED = "The server's tokens cannot be read; its log says why."


@pytest.fixture
def file(tmp_path):
    return tmp_path / "tokens"


@pytest.fixture
def secrets(file):
    """One for reading and one for writing, in this order in the file."""
    return add_token(file, read_only=True), add_token(file, read_only=False)


@pytest.fixture
def app(tmp_path, file, secrets):
    assert secrets  # they are in the file
    with app_of(tmp_path, TOKENS=file, TOKEN=GIVEN) as app:
        yield app


def asked(app, secret):
    return app.test_client().get("/api/v1/images", headers={"Authorization": f"Bearer {secret}"}).status_code


def write(file, lines, *, settled=False):
    """In place, as an editor does; a file that is settled looks as if it had been so for long."""
    file.write_text("".join(line + "\n" for line in lines))
    if settled:
        os.utime(file, (1_700_000_000, 1_700_000_000))


@pytest.mark.parametrize("settled", [False, True])
def test_a_token_that_is_taken_away_counts_no_more(app, file, secrets, settled, monkeypatch):
    if settled:
        monkeypatch.setattr(keyring, "SETTLED", 0)
    write(file, lines := file.read_text().splitlines(), settled=settled)
    assert [asked(app, secret) for secret in secrets] == [200, 200]
    write(file, lines[1:], settled=settled)
    assert [asked(app, secret) for secret in (*secrets, GIVEN)] == [401, 200, 200]
    write(file, lines, settled=settled)
    assert asked(app, secrets[0]) == 200


def test_one_for_another_of_the_same_length_at_the_same_moment(app, file, secrets):
    """A time is no better than the clock's tick."""
    reading, writing = (line.replace("read-write", "read-only ") for line in file.read_text().splitlines())
    for _ in range(8):
        write(file, [reading + " "])
        assert asked(app, secrets[0]) == 200
        write(file, [writing])
        assert asked(app, secrets[1]) == 200


def test_so_do_the_sessions_that_began_with_it(app, file, secrets):
    client = app.test_client()
    client.post("/login", data={"token": secrets[1]})
    assert client.get("/api/v1/images").status_code == 200
    write(file, file.read_text().splitlines()[:1])
    assert client.get("/api/v1/images").status_code == 401
    assert client.get("/", headers={"Accept": "text/html"}).status_code == 302


def test_a_role_is_that_of_now(app, file, secrets):
    client = app.test_client()
    client.post("/login", data={"token": secrets[1]})
    assert client.delete("/api/v1/images/1").status_code == 404
    reading, writing = file.read_text().splitlines()
    write(file, [reading, writing.replace("read-write", "read-only")])
    assert client.delete("/api/v1/images/1").status_code == 403
    headers = {"Authorization": f"Bearer {secrets[1]}"}
    assert app.test_client().delete("/api/v1/images/1", headers=headers).status_code == 403


def test_a_new_one_counts_at_once(app, file):
    assert asked(app, add_token(file, read_only=True)) == 200


@pytest.mark.parametrize("how", ["gone", "empty", "broken", "open to others"])
def test_a_file_that_cannot_be_read_lets_nobody_in(app, file, secrets, how, caplog):
    before = file.read_bytes()
    if how == "gone":
        file.unlink()
    elif how == "open to others":
        file.chmod(0o666)
    else:
        file.write_text({"empty": "", "broken": "no token\n"}[how])
    for _ in range(20):  # none of them is a wrong token, so nobody is locked out
        answer = app.test_client().get("/api/v1/images", headers={"Authorization": f"Bearer {secrets[1]}"})
        assert (answer.status_code, answer.json["detail"]) == (503, REFUSED)
    assert app.test_client().get("/api/v1/images").status_code == 503
    assert app.test_client().post("/login", data={"token": secrets[1]}).status_code == 503
    assert asked(app, GIVEN) == 200
    errors = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    assert str(file) in errors[0]
    file.write_bytes(before)
    file.chmod(0o600)
    assert asked(app, secrets[1]) == 200


def test_reading_it_again_is_logged(app, caplog):
    with caplog.at_level(logging.INFO):
        app.extensions["imgindex.keyring"].reload()
    assert "The tokens were read again; there are 3." in caplog.text


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_sighup_reads_the_tokens_again_and_ends_nothing(tmp_path, file, secrets):
    command = [PROGRAM, "serve", "--port", "0", "--index", tmp_path / "index", "--tokens", file]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as server:
        assert server.stderr is not None
        port = int(server.stderr.readline().split(",")[0].rsplit(":", 1)[1])
        file.write_text("no token\n")
        server.send_signal(signal.SIGHUP)
        line = server.stderr.readline()
        assert f"Line 1 of {file} is not a valid token" in line
        time.sleep(0.1)
        status, answer = ask(port, "GET", "/api/v1/images", headers={"Authorization": f"Bearer {secrets[1]}"})
        assert (status, json.loads(answer)["detail"]) == (503, REFUSED)
        assert server.poll() is None
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)
    assert server.returncode == 0


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_server_started_with_nohup_outlives_its_terminal(tmp_path):
    """The terminal of its own is closed, as by a person who leaves."""
    command = ["nohup", str(PROGRAM), "serve", "--port", "0", "--index", str(tmp_path / "index")]
    pid, terminal = pty.fork()
    if not pid:
        with (tmp_path / "log").open("w") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            os.execvp(command[0], command)
    while "Serving" not in (said := (tmp_path / "log").read_text() if (tmp_path / "log").exists() else ""):
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), said
        time.sleep(0.05)
    os.close(terminal)
    time.sleep(1)
    assert os.waitpid(pid, os.WNOHANG) == (0, 0), (tmp_path / "log").read_text()
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
