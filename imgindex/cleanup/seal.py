"""Which ledger entries this user wrote: an index that somebody sent must not put files anywhere.

Each entry carries an HMAC by a key that lies outside of the index, in the user's own state folder.
"""

import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from imgindex.cleanup.journal import Entry
from imgindex.cleanup.trash import xdg
from imgindex.decoding.formats import is_named_as_picture
from imgindex.files import reason
from imgindex.sidecars import is_sidecar

_LENGTH = 32  # bytes of a key


def sealed(entry: Entry) -> Entry:
    """An entry with its seal. Raises OSError where the user has no place for a key: what goes must come back."""
    return replace(entry, seal=_seal(entry))


def is_ours(entry: Entry) -> bool:
    """Whether this user wrote an entry on this machine, or it does no harm whoever did.

    Entries of older versions have no seal, and those of another machine another one. A file that is done, and was and
    will be named as a picture, starts no program and opens no door, so it comes back all the same; nothing else of
    such an entry is done.
    """
    names = entry.path, entry.target
    harmless = entry.state == "done" and entry.action != "hardlink"
    if harmless and all(is_named_as_picture(name) or is_sidecar(name) for name in names):
        return True
    try:
        return hmac.compare_digest(entry.seal, _seal(entry))
    except OSError:
        return False


def stranger(entry: Entry) -> str:
    """Why nothing is done about an entry that is not ours."""
    return f"was not put away by you on this machine; if you know the file, move it back from {entry.target}"


def _seal(entry: Entry) -> bytes:
    names = entry.path, entry.action, entry.target, entry.kept
    parts = [*map(os.fsencode, names), entry.sha256, str(entry.mode).encode()]
    return hmac.digest(_key(), b"".join(len(part).to_bytes(8, "big") + part for part in parts), "sha256")


def _key() -> bytes:
    """Read or made. Raises OSError."""
    path = Path(xdg("XDG_STATE_HOME", "~/.local/state"), "imgindex", "key")
    try:
        with suppress(FileNotFoundError):
            return _whole(path)
        return _made(path)
    except OSError as error:
        why = reason(error)
        raise OSError(None, f"no key can be kept at {path}, by which it could come back ({why})") from error


def _made(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f"key.{secrets.token_hex(8)}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_LENGTH))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was faster
            os.link(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    return _whole(path)


def _whole(path: Path) -> bytes:
    key = path.read_bytes()
    if len(key) != _LENGTH:
        raise OSError(None, "it is no key")
    return key
