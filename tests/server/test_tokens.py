"""The file of tokens."""

import hashlib
import os

import pytest

from imgindex import UsageError
from imgindex.server.middleware.tokens import SHAPE, Token, add_token, find_token, given_token, new_token, read_tokens

HASH = hashlib.sha256(b"a token of sixteen or more").hexdigest()


def write(tmp_path, text):
    file = tmp_path / "tokens"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(0o600)
    return file


def test_made_and_found_again(tmp_path):
    file = tmp_path / "tokens"
    reading, writing = add_token(file, read_only=True, note="the wall"), add_token(file, read_only=False)
    assert file.stat().st_mode & 0o777 == 0o600
    assert reading not in file.read_text()
    tokens = read_tokens(file)
    assert find_token(tokens, reading) == Token(hashlib.sha256(reading.encode()).digest(), "read-only")
    assert find_token(tokens, writing).role == "read-write"
    for wrong in ("", "wrong", reading + " ", reading[:-1], HASH):
        assert find_token(tokens, wrong) is None


def test_new_ones_differ():
    assert len({new_token() for _ in range(100)}) == 100
    assert given_token(new_token()).role == "read-write"


def test_lines(tmp_path):
    text = f"\ufeff# ours\n\n  read-only  {HASH.upper()}\tAnna's phone  # 2\r\nread-write {'0' * 64}"
    one, other = read_tokens(write(tmp_path, text))
    assert (one.digest.hex(), one.role) == (HASH, "read-only")
    assert other.role == "read-write"
    secret = add_token(tmp_path / "tokens", read_only=True)  # the last line had no end
    assert len(read_tokens(tmp_path / "tokens")) == 3
    assert find_token(read_tokens(tmp_path / "tokens"), secret)


@pytest.mark.parametrize(
    "line",
    [
        "admin " + HASH,
        "read-only",
        "read-only x",
        HASH,
        f"read-only {HASH[:-1]}",
        f"read-only {HASH}0",
        f"read-write{HASH}",
        f"Read-only {HASH}",
        "read-only " + "ÿ" * 64,
        b"\xff\xfe",
    ],
)
def test_a_bad_line_is_named(tmp_path, line):
    start = f"read-only {'1' * 64}\n"
    file = write(tmp_path, start.encode() + line if isinstance(line, bytes) else start + line)
    with pytest.raises(UsageError) as error:
        read_tokens(file)
    assert str(error.value) == f"Line 2 of {file} is not a valid token; a line is {SHAPE}."
    with pytest.raises(UsageError):
        add_token(file, read_only=True)


def test_the_same_twice(tmp_path):
    with pytest.raises(UsageError, match=r"Line 2 of .* repeats a token"):
        read_tokens(write(tmp_path, f"read-only {HASH}\nread-write {HASH}\n"))


@pytest.mark.parametrize("text", ["", "# none\n\n"])
def test_no_token_at_all(tmp_path, text):
    file = write(tmp_path, text)
    with pytest.raises(UsageError, match="holds no token; add one first"):
        read_tokens(file)
    add_token(file, read_only=True)
    assert len(read_tokens(file)) == 1


def test_no_file(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_tokens(tmp_path / "nothing")
    with pytest.raises(UsageError, match="cannot be read"):
        read_tokens(tmp_path)
    with pytest.raises(UsageError, match="cannot be written"):
        add_token(tmp_path / "no" / "folder", read_only=True)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write(tmp_path, mode):
    file = write(tmp_path, f"read-only {HASH}\n")
    file.chmod(mode)
    with pytest.raises(UsageError, match=r"can be written by other users, who could add tokens; .*chmod 600` on it\.$"):
        read_tokens(file)
    file.chmod(0o644)
    read_tokens(file)


def test_a_file_of_another_user(tmp_path, monkeypatch):
    file = write(tmp_path, f"read-only {HASH}\n")
    if file.stat().st_uid == 0:
        os.chown(file, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(UsageError, match="can be written by other users"):
        read_tokens(file)


@pytest.mark.parametrize("note", ["two\nlines", "a\x00", "x" * 201, "\x1b[0m"])
def test_a_note_is_one_line(tmp_path, note):
    with pytest.raises(UsageError, match="one line"):
        add_token(tmp_path / "tokens", read_only=True, note=note)
    assert not (tmp_path / "tokens").exists()
