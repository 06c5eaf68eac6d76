"""Tokens: random words that grant access; only their hashes are stored."""

import os
import re
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Literal

from imgindex import UsageError
from imgindex.rendering.paths import printable

Role = Literal["read-only", "read-write"]

SHORTEST = 16  # characters of a chosen token: 10 guesses a minute never find one
LONGEST_NOTE = 200  # characters: a line of the file stays readable
_GIVEN = re.compile(rf"[!-~]{{{SHORTEST},}}")
_LINE = re.compile(r"(read-only|read-write)[ \t]+([0-9a-fA-F]{64})(?:[ \t]+.*)?")
SHAPE = "read-only or read-write, a SHA-256 in hex, and optionally a note"


@dataclass(frozen=True)
class Token:
    """What is stored of a token."""

    digest: bytes
    role: Role


def new_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def given_token(secret: str) -> Token:
    """A token that a person chose, for reading and writing. Raises UsageError if it is short or cannot be sent."""
    if not _GIVEN.fullmatch(secret):
        raise UsageError(f"The token is too weak; use {SHORTEST} or more visible ASCII characters, best random ones.")
    return Token(_digest(secret), "read-write")


def find_token(tokens: Iterable[Token], secret: str) -> Token | None:
    """The token that a client sent, if it is one; takes the same time in any case."""
    digest, found = _digest(secret), None
    for token in tokens:
        if compare_digest(token.digest, digest):
            found = token
    return found if secret else None


def read_tokens(file: Path) -> tuple[Token, ...]:
    """Those of a file. Raises UsageError if others may write it, or a line is invalid, or it has no token."""
    tokens: dict[bytes, Token] = {}
    for number, line in enumerate(_text(file).splitlines(), start=1):
        if not (words := line.strip()) or words.startswith("#"):
            continue
        matched = _LINE.fullmatch(words)
        if not matched:
            raise UsageError(f"Line {number} of {printable(str(file))} is not a valid token; a line is {SHAPE}.")
        role, digest = matched.groups()
        token = Token(bytes.fromhex(digest), "read-only" if role == "read-only" else "read-write")
        if token.digest in tokens:
            raise UsageError(f"Line {number} of {printable(str(file))} repeats a token; remove one of the lines.")
        tokens[token.digest] = token
    if not tokens:
        raise UsageError(f"{printable(str(file))} holds no token; add one first.", hint="`imgindex token` makes one.")
    return tuple(tokens.values())


def add_token(file: Path, *, read_only: bool, note: str = "") -> str:
    """Make a token and append its hash to a file, which is created if needed. Raises UsageError."""
    if not note.isprintable() or len(note) > LONGEST_NOTE:
        raise UsageError(f"The note is too long or has more than one line; use at most {LONGEST_NOTE} characters.")
    text = ""
    if file.exists() and (text := _text(file)).strip():
        with_tokens = any(line.strip() and not line.strip().startswith("#") for line in text.splitlines())
        if with_tokens:
            read_tokens(file)  # never append to a file that the server would refuse
    secret = new_token()
    line = f"{'read-only' if read_only else 'read-write'} {_digest(secret).hex()} {note}".rstrip() + "\n"
    try:
        with open(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as out:
            out.write((("\n" if text and not text.endswith("\n") else "") + line).encode())
    except OSError as error:
        raise UsageError(
            f"{printable(str(file))} cannot be written ({error.strerror}); choose another file."
        ) from error
    return secret


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "replace")).digest()


def _text(file: Path) -> str:
    try:
        with open(file, "rb") as opened:
            if os.name == "posix":
                status = os.fstat(opened.fileno())
                ours = status.st_uid in (0, os.geteuid())
                if not ours or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                    raise UsageError(
                        f"{printable(str(file))} can be written by other users, who could add tokens; "
                        f"run `chmod 600` on it."
                    )
            return opened.read().decode("utf-8-sig", "replace")
    except OSError as error:
        raise UsageError(f"{printable(str(file))} cannot be read ({error.strerror}); name a file of tokens.") from error
