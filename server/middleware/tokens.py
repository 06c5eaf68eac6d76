"""Tokens: random words that let a client in; only their hashes are kept."""

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
from imgindex.rendering.text import printable

Role = Literal["read-only", "read-write"]

SHORTEST = 16  # characters of a token that a person thought of
_GIVEN = re.compile(rf"[!-~]{{{SHORTEST},}}")
_LINE = re.compile(r"(read-only|read-write)[ \t]+([0-9a-fA-F]{64})(?:[ \t]+.*)?")
SHAPE = "read-only or read-write, a SHA-256 in hex, and perhaps a note"


@dataclass(frozen=True)
class Token:
    """What is known of one."""

    digest: bytes
    role: Role


def new_token() -> str:
    """One that nobody guesses: 256 random bits."""
    return secrets.token_urlsafe(32)


def given_token(secret: str) -> Token:
    """One that a person chose; it may read and write. Raises UsageError when it is short or cannot be sent."""
    if not _GIVEN.fullmatch(secret):
        raise UsageError(
            f"A token has {SHORTEST} or more visible ASCII characters and no spaces; imgindex token makes a good one."
        )
    return Token(_digest(secret), "read-write")


def find_token(tokens: Iterable[Token], secret: str) -> Token | None:
    """The token that a client sent; takes as long whichever it is, or if it is none."""
    digest, found = _digest(secret), None
    for token in tokens:
        if compare_digest(token.digest, digest):
            found = token
    return found if secret else None


def read_tokens(file: Path) -> tuple[Token, ...]:
    """Those of a file. Raises UsageError for one that others may write, a line that is none, or no token at all."""
    tokens: dict[bytes, Token] = {}
    for number, line in enumerate(_text(file).splitlines(), start=1):
        if not (words := line.strip()) or words.startswith("#"):
            continue
        matched = _LINE.fullmatch(words)
        if not matched:
            raise UsageError(f"Line {number} of {printable(str(file))} is no token; a line is {SHAPE}.")
        role, digest = matched.groups()
        token = Token(bytes.fromhex(digest), "read-only" if role == "read-only" else "read-write")
        if token.digest in tokens:
            raise UsageError(f"Line {number} of {printable(str(file))} repeats a token; keep one of the lines.")
        tokens[token.digest] = token
    if not tokens:
        raise UsageError(f"{printable(str(file))} holds no token; imgindex token makes one.")
    return tuple(tokens.values())


def add_token(file: Path, *, read_only: bool, note: str = "") -> str:
    """Make a token and put its hash into a file, which is begun if need be. Raises UsageError."""
    if not note.isprintable() or len(note) > 200:
        raise UsageError("The note of a token is one line of at most 200 characters.")
    text = ""
    if file.exists() and (text := _text(file)).strip():
        with_tokens = any(line.strip() and not line.strip().startswith("#") for line in text.splitlines())
        if with_tokens:
            read_tokens(file)  # never add to a file that the server would refuse
    secret = new_token()
    line = f"{'read-only' if read_only else 'read-write'} {_digest(secret).hex()} {note}".rstrip() + "\n"
    try:
        with open(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as out:
            out.write((("\n" if text and not text.endswith("\n") else "") + line).encode())
    except OSError as error:
        raise UsageError(f"{printable(str(file))} cannot be written ({error.strerror}); choose another.") from error
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
                        f"{printable(str(file))} can be written by others, who could let themselves in; "
                        f"make it yours alone, with chmod 600."
                    )
            return opened.read().decode("utf-8-sig", "replace")
    except OSError as error:
        raise UsageError(f"{printable(str(file))} cannot be read ({error.strerror}); name a file of tokens.") from error
