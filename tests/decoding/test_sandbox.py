"""What code that a picture smuggles into its decoder can do: nothing, where the kernel lets itself be told so.

The code stands in a picture, and a HEIC reader runs it, in a real child: what it did comes back as the reason why the
picture cannot be read. Where the kernel shuts nothing in, the same code gets through, and that must have been told.
"""

import json
import math
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from imgindex.comparison.second_look import Relation
from imgindex.decoding.child import Child, decoder_sandbox
from imgindex.decoding.decoder import Decoder
from imgindex.decoding.sandbox import Sandbox
from imgindex.errors import UnreadablePictureError
from tests.support.smuggled import CHANGES, FILES, KERNEL, LIMITS, NETWORK, PROCESSES

HEAD = b"\0\0\0\x18ftypheic" + bytes(12)
VICTIM = """
import ctypes, errno, fcntl, json, mmap, os, resource, socket, stat, subprocess, threading
from seccompy import syscall_nr as number
from imgindex.decoding.reading import Unreadable

libc = ctypes.CDLL(None, use_errno=True)
options = ctypes  # a place for what is set

def called(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def is_socket(number):
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False

def open_heif(data, **options):
    try:
        exec(data[24:].decode(), names := dict(globals()))
        told = names.get("told", "done")
    except OSError as error:
        told = f"refused: {errno.errorcode[error.errno]}"
    except ValueError as error:
        told = f"refused: {error}"
    raise Unreadable(str(told))
"""


@pytest.fixture(scope="module")
def lured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Decoder]]:
    """Makes decoders whose HEIC reader runs what stands in the picture."""
    folder = tmp_path_factory.mktemp("victim")
    (folder / "pillow_heif.py").write_text(VICTIM)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("IMGINDEX_TOKEN", "a-token-that-nobody-may-see")
        yield partial(Decoder, 8, workers=1)


@pytest.fixture(scope="module")
def victim(lured: Callable[[], Decoder]) -> Iterator[Decoder]:
    with lured() as decoder:
        yield decoder


def run(decoder: Decoder, code: str) -> str:
    """What the code did in the child: "refused: ..." or what it told."""
    with pytest.raises(UnreadablePictureError) as told:
        decoder.decode(HEAD + code.encode())
    return str(told.value)


@pytest.fixture(scope="module")
def here() -> Sandbox:
    return decoder_sandbox()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A person's folder, with a file, an empty folder and listening sockets; and the names for them."""
    (tmp_path / "photo.jpg").write_text("a photo")
    (tmp_path / "empty").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(tmp_path / "socket"))
        local.listen()
        names = {
            "PATH": str(tmp_path / "photo.jpg"),
            "FOLDER": str(tmp_path),
            "NEW": str(tmp_path / "new"),
            "EMPTY": str(tmp_path / "empty"),
            "LISTENING": str(tmp_path / "socket"),
            "PORT": tcp.getsockname()[1],
        }
        yield tmp_path, "".join(f"{name} = {value!r}\n" for name, value in names.items())


@pytest.mark.parametrize("code", FILES.values(), ids=FILES)
def test_it_reads_no_file(victim: Decoder, here: Sandbox, place: tuple[Path, str], code: str) -> None:
    told = run(victim, place[1] + code)
    if here.files:
        assert told.startswith("refused"), told
    else:
        assert any("your files" in sentence for sentence in here.lacking)


@pytest.mark.parametrize("code", CHANGES.values(), ids=CHANGES)
def test_it_changes_no_file(victim: Decoder, here: Sandbox, place: tuple[Path, str], code: str) -> None:
    folder, names = place
    told = run(victim, names + code)
    if here.calls:
        assert told.startswith("refused"), told
        assert sorted(path.name for path in folder.iterdir()) == ["empty", "photo.jpg", "socket"]
        assert (folder / "photo.jpg").read_text() == "a photo"
        assert (folder / "photo.jpg").stat().st_mtime > 0
    else:
        assert here.lacking


@pytest.mark.parametrize("code", (NETWORK | PROCESSES | KERNEL).values(), ids=NETWORK | PROCESSES | KERNEL)
def test_it_reaches_no_network_no_process_and_no_more_of_the_kernel(
    victim: Decoder, here: Sandbox, place: tuple[Path, str], code: str
) -> None:
    if not here.calls:  # some of it would do harm
        assert any("start programs, talk to the network" in sentence for sentence in here.lacking)
        return
    told = run(victim, place[1] + code)
    assert told.startswith("refused"), told


@pytest.mark.parametrize("code", LIMITS.values(), ids=LIMITS)
def test_it_gains_no_rights(victim: Decoder, code: str) -> None:
    told = run(victim, code)
    assert told.startswith("refused"), told


def test_it_learns_no_token(victim: Decoder) -> None:
    told = run(victim, "told = sorted(os.environ)")
    assert "IMGINDEX" not in told
    assert "HOME" not in told
    assert "OPENCV_LOG_LEVEL" in told


def test_it_has_no_descriptor_but_its_own(lured: Callable[[], Decoder], tmp_path: Path) -> None:
    code = """
def file(number):
    try:
        found = os.fstat(number)
        return found.st_dev, found.st_ino
    except OSError:
        return None
told = FILE in [file(number) for number in range(4096)]
"""
    with (tmp_path / "secret").open("w") as secret, lured() as fresh:
        os.set_inheritable(secret.fileno(), True)
        assert secret.fileno() < 4096
        found = os.fstat(secret.fileno())
        assert run(fresh, f"FILE = {(found.st_dev, found.st_ino)}\n" + code) == "False"


@pytest.mark.parametrize("name", ["open", "openat"])
@pytest.mark.parametrize("more", ["os.O_CLOEXEC", "os.O_NOCTTY", "LARGE"])
def test_its_own_memory_files_open_as_every_c_library_opens_them(victim: Decoder, name: str, more: str) -> None:
    code = f"""
LARGE = 0o400000 if os.uname().machine.startswith(('aarch', 'arm')) else 0o100000  # O_LARGEFILE

def opened(n):
    path = f'/proc/self/fd/{{n}}'.encode()
    try:
        try:
            call = number({name!r})
        except ValueError:
            return True  # this processor has it not
        ahead = (-100,) if {name!r} == 'openat' else ()
        os.close(called(libc.syscall(call, *ahead, path, {more})))
        return True
    except OSError:
        return False
told = any(opened(n) for n in range(3, 64))
"""
    assert run(victim, code) == "True"


def test_threads_are_let_be_and_shut_in_as_well(victim: Decoder, here: Sandbox) -> None:
    code = """
def inside():
    global told
    try:
        told = open('/etc/passwd').read()
    except OSError as error:
        told = 'refused'
thread = threading.Thread(target=inside)
thread.start(), thread.join()
"""
    assert (run(victim, code) == "refused") == here.files


def test_a_thread_that_a_picture_leaves_takes_nothing_from_the_next(lured: Callable[[], Decoder]) -> None:
    with lured() as decoder:
        mine = run(decoder, "told = os.getpid()")
        assert (
            run(decoder, "threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()") == "done"
        )
        assert (decoder.decode(good()).pixels == 7).all()
        assert run(decoder, "told = os.getpid()") != mine


def test_an_abort_is_the_pictures_as_ever(victim: Decoder) -> None:
    assert run(victim, "os.abort()") == "the decoder crashed on it (SIGABRT)"


LIAR = """
from imgindex.decoding.protocol import FACTS, REPLY
LINK = next(n for n in range(3, 64) if is_socket(n))

def answer(width=9, height=9, facts={'format': 'png'}):
    told = json.dumps(facts).encode()
    body = bytes(8 * 8 * 3 + 32) + FACTS.pack(len(told)) + told
    return REPLY.pack(1, 0, width, height, len(body)) + body

"""
ANSWERS = {
    "more than there is memory for": "REPLY.pack(1, 0, 9, 9, 1 << 60)",
    "less than its pixels": "REPLY.pack(1, 0, 9, 9, 4) + b'1234'",
    "facts that are none": "REPLY.pack(1, 0, 9, 9, 300) + bytes(300)",
    "a length of facts beyond its end": "REPLY.pack(1, 0, 9, 9, 300) + b'\\xff' * 300",
    "no width": "answer(0, 9)",
    "no height": "answer(9, 0)",
    "a side that no picture has": "answer(1 << 31, 1)",
    "a list for facts": "answer(facts=[])",
    "a format of a kilobyte": "answer(facts={'format': 'x' * 1000})",
    "a format that is a path": "answer(facts={'format': '../x'})",
    "more detail than a number can hold": "answer(facts={'format': 'png', 'detail': 10**400})",
    "less than no noise": "answer(facts={'format': 'png', 'noise': -1})",
    "no frame": "answer(facts={'format': 'png', 'frames': 0})",
    "a quality beyond 100": "answer(facts={'format': 'png', 'quality': 101})",
    "a place that is not on Earth": "answer(facts={'format': 'png', 'latitude': 91.0, 'longitude': 0})",
    "a time that is none": "answer(facts={'format': 'png', 'captured': 'yesterday'})",
    "half a letter": "answer(facts={'format': 'png', 'camera': chr(0xD800)})",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_cannot_be_is_no_picture(lured: Callable[[], Decoder], answer: str) -> None:
    with lured() as decoder:
        told = run(decoder, LIAR + f"os.write(LINK, {answer})\nos._exit(0)")
    assert told == "the decoder's answer makes no sense"


RELATION = {
    "kind": "version", "share_a": 1.0, "share_b": 1.0, "place_ab": 0.0, "place_ba": 0.0, "finer": 0.0, "noisier": 0.0,
    "transform": [1, 0, 0, 0, 1, 0, 0, 0, 1], "where": [], "light": 0.0, "stretched": 0,
}  # fmt: skip
RELATIONS = {
    "no object": [],
    "nothing": {},
    "a kind that is none": RELATION | {"kind": "hack"},
    "a kind that is a list": RELATION | {"kind": ["version"]},
    "words for a number": RELATION | {"share_a": "x"},
    "no number": RELATION | {"finer": math.nan},
    "an endless number": RELATION | {"noisier": math.inf},
    "a number beyond all": RELATION | {"noisier": 10**400},
    "yes for a number": RELATION | {"share_b": True},
    "more than all": RELATION | {"share_b": 1.5},
    "less than nothing": RELATION | {"place_ab": -5},
    "a map of one number": RELATION | {"transform": [1]},
    "a map to one place": RELATION | {"transform": [0.0] * 8 + [1.0]},
    "a map that divides by nothing": RELATION | {"transform": [1, 0, 0, 0, 1, 0, 1, 1, -1]},
    "a direction that is none": RELATION | {"stretched": 7},
    "a box outside": RELATION | {"where": [{"x": 2, "y": 0, "w": 0, "h": 0}]},
    "a box without sides": RELATION | {"where": [{"x": 0, "y": 0}]},
    "a box of words": RELATION | {"where": ["box"]},
    "a box of more": RELATION | {"where": [{"x": 0, "y": 0, "w": 0, "h": 0, "z": 0}]},
    "a name too many": RELATION | {"evil": 1},
}


def seen(lured: Callable[[], Decoder], relation: object) -> Relation:
    """What a look brings where the child answers so."""
    with lured() as decoder:
        second = "os.read(LINK, 1 << 20)\n"  # or its sender would see that nobody is there any more
        told = f"told = {json.dumps(relation)!r}.encode()\nos.write(LINK, REPLY.pack(1, 0, 0, 0, len(told)) + told)"
        code = HEAD + (LIAR + second + told + "\nos._exit(0)").encode()
        return decoder.look(code, code, RELATION["transform"])  # type: ignore[arg-type]


@pytest.mark.parametrize("relation", RELATIONS.values(), ids=RELATIONS)
def test_a_relation_that_cannot_be_is_none(lured: Callable[[], Decoder], relation: object) -> None:
    with pytest.raises(UnreadablePictureError, match="the decoder's answer makes no sense"):
        seen(lured, relation)


def test_a_relation_that_can_be_is_taken(lured: Callable[[], Decoder]) -> None:
    assert asdict(seen(lured, RELATION)) == RELATION | {"transform": tuple(RELATION["transform"]), "where": ()}  # type: ignore[arg-type]


def test_a_decoder_that_was_attacked_decodes_on(victim: Decoder) -> None:
    assert (victim.decode(good()).pixels == 7).all()


def good() -> bytes:
    done, data = cv2.imencode(".png", np.full((9, 9, 3), 7, np.uint8))
    assert done
    return data.tobytes()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads what Linux tells of a process")
def test_the_kernel_says_the_same_of_a_child(here: Sandbox) -> None:
    child = Child(8)
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{child._process.pid}/status").read_text().splitlines())
    child.kill()
    assert child.sandbox == here
    if here.calls:
        assert status["Seccomp"] == "2"  # also where not, in a container that has filters of its own
    if here.files or here.calls:
        assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert status["Threads"] == "1"  # Landlock shuts in those that come later, but before Linux 7 no others


def test_what_is_lacking_is_told_in_a_sentence_each() -> None:
    assert (Sandbox(True, True).state, Sandbox(True, True).lacking) == ("whole", ())
    assert Sandbox(True, False).state == Sandbox(False, True).state == "partial"
    assert Sandbox(False, False).state == "none"
    (calls,) = Sandbox(True, False).lacking
    assert "start programs, talk to the network" in calls
    (files,) = Sandbox(False, True).lacking
    assert "read your files" in files
    assert "read and change your files" in Sandbox(False, False).lacking[0]


# A kernel that lacks something, or a container that refuses it: the same answers to the same system calls.
LESSER = """
import json, sys
from imgindex.decoding.decoder import Decoder
from imgindex.decoding.child import decoder_sandbox
try:
    from seccompy import Filter
    lesser = Filter()
    for name in sys.argv[2].split():
        lesser.errno(name, int(sys.argv[1]))
    lesser.load()
except (ImportError, OSError):
    pass  # this machine is one
with Decoder(8, workers=1) as decoder:
    decoded = decoder.decode(sys.stdin.buffer.read())
told = decoder_sandbox()
print(json.dumps([told.files, told.calls, int(decoded.pixels.max())]))
"""


@pytest.mark.parametrize("error", [1, 38], ids=["EPERM", "ENOSYS"])
@pytest.mark.parametrize("refused", ["landlock_create_ruleset", "landlock_restrict_self", "seccomp", "prctl", ""])
def test_a_kernel_that_lacks_something_decodes_and_says_so(here: Sandbox, refused: str, error: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LESSER, str(error), refused], input=good(), capture_output=True, check=True
    )
    files = here.files and not refused.startswith("landlock") and refused != "prctl"
    calls = here.calls and refused not in ("seccomp", "prctl")
    assert json.loads(done.stdout) == [files, calls, 7]


WRONG = {
    "landlockpy": """
import resource
class Scope: ABSTRACT_UNIX_SOCKET = SIGNAL = 0
RestrictFlag = Scope
def Ruleset(**_):
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    raise OSError
""",
    "seccompy": """
import os, signal
def supported():
    os.kill(os.getpid(), signal.SIGSYS)
""",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_lock_that_keeps_from_decoding_is_left_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, here: Sandbox, name: str
) -> None:
    (tmp_path / f"{name}.py").write_text(
        f"class Scope: ABSTRACT_UNIX_SOCKET = SIGNAL = 0\nRestrictFlag = Scope\n{WRONG[name]}"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with Decoder(8, workers=1) as decoder:
        assert (decoder.decode(good()).pixels == 7).all()
    assert decoder_sandbox() == Sandbox(files=here.files and name == "seccompy", calls=False)
