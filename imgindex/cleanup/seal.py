"""Which ledger entries this user wrote: an index that somebody sent must not put files anywhere.

Each entry carries an HMAC by a key that lies outside of the index, in the user's own state folder.
"""

import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

from imgindex.cleanup.journal import Entry
from imgindex.decoding.formats import is_named_as_picture
from imgindex.sidecars import is_sidecar

_LENGTH = 32  # bytes of a key


def sealed(entry: Entry) -> bytes:
    """The seal of an entry; none where the user has no folder for a key."""
    try:
        key = _key()
    except OSError:
        return b""
    names = (entry.path, entry.action, entry.target)
    parts = [*map(os.fsencode, names), entry.sha256, str(entry.mode).encode()]
    return hmac.digest(key, b"".join(len(part).to_bytes(8, "big") + part for part in parts), "sha256")


def check_ours(entry: Entry) -> None:
    """Raises OSError for an entry that somebody else may have written, and that does not name a picture.

    Entries of older versions have no seal, and neither do those of another machine. A picture by its name starts no
    program and opens no door, so it comes back all the same.
    """
    named = is_named_as_picture(entry.path) or is_sidecar(entry.path)
    if not named and not (entry.seal and hmac.compare_digest(entry.seal, sealed(entry))):
        raise OSError(
            None, f"was not put away by you on this machine; if you know the file, move it back from {entry.target}"
        )


def _key() -> bytes:
    """Read or made. Raises OSError."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):  # as the specification has it
        state = os.path.expanduser("~/.local/state")
    path = Path(state, "imgindex", "key")
    with suppress(FileNotFoundError):
        return _whole(path)
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
        raise OSError(None, f"{path} is no key")
    return key
