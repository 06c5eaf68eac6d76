"""Thousands of odd, broken and malicious files, and real photos of 100 megapixels, within the limits."""

import io
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from imgindex import ImageIndex
from imgindex.decoding.child import CPU_SECONDS, MEMORY
from imgindex.decoding.decoder import Decoder
from imgindex.errors import UnreadablePictureError
from tests.support.embedders import FakeEmbedder
from tests.support.hostile import DATA, hostile

TICK = 0.02  # the kernel counts processor time in steps of 10 ms, user and system apart

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not DATA.is_dir(), reason="needs the measuring data in ../shared"),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="measures by /proc"),
]


@dataclass(frozen=True)
class Outcome:
    reason: str  # empty: decoded
    cpu: float  # seconds, of the child
    peak: int  # bytes, of the child so far


def usage(pid: int) -> tuple[float, int]:
    """Processor seconds and peak resident bytes of a process so far; zeros once it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0, 0
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024 if "VmHWM:" in status else 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), peak


def decoding_children() -> set[int]:
    found = set()
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            try:
                if b"decoding/worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.add(int(pid))
            except OSError:
                continue
    return found


class Measured:
    """A decoder of one child that tells what each picture cost it."""

    start = threading.Lock()

    def __init__(self, size: int = 224) -> None:
        self.decoder = Decoder(size, workers=1)
        self.pid = 0

    def decode(self, data: bytes) -> Outcome:
        if not usage(self.pid)[1]:  # gone, or not there yet
            with self.start:
                before = decoding_children()
                self.decoder.decode(cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes())
                (self.pid,) = decoding_children() - before
        cpu, _ = usage(self.pid)
        reason = ""
        try:
            picture = self.decoder.decode(data)
            assert picture.pixels.shape == (224, 224, 3)
            assert picture.width > 0 < picture.height
        except UnreadablePictureError as error:
            reason = str(error)
            assert reason
        after, peak = usage(self.pid)
        return Outcome(reason, max(0.0, after - cpu), peak)

    def watch(self, data: bytes) -> Outcome:
        """As decode, for a child that may die: looks at it all the while."""
        seen: list[tuple[float, int]] = []
        done = threading.Event()

        def look() -> None:
            while not done.wait(0.002):
                seen.append(usage(self.pid))

        self.decode(cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes())
        before, _ = usage(self.pid)
        thread = threading.Thread(target=look)
        thread.start()
        try:
            outcome = self.decode(data)
        finally:
            done.set()
            thread.join()
        peaks = [peak for _, peak in seen] + [outcome.peak]
        return Outcome(outcome.reason, max([cpu - before for cpu, _ in seen] + [outcome.cpu]), max(peaks))


def test_every_hostile_file_is_decoded_or_refused_within_the_limits() -> None:
    files = dict(hostile())
    queue, lock = iter(files.items()), threading.Lock()
    outcomes: dict[str, Outcome] = {}

    def work() -> None:
        measured = Measured()
        with measured.decoder:
            while True:
                with lock:
                    name, data = next(queue, ("", b""))
                if not name:
                    return
                outcomes[name] = measured.decode(data)

    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(work) for _ in range(2)]:
            future.result()

    assert len(outcomes) == len(files) == 7483
    died = [name for name, o in outcomes.items() if "the decoder" in o.reason or "seconds" in o.reason]
    again = Measured()
    with again.decoder:
        outcomes |= {name: again.watch(files[name]) for name in died}
    print(
        f"{len(files)} files, {sum(not o.reason for o in outcomes.values())} decoded, {len(died)} deaths, "
        f"at most {max(o.cpu for o in outcomes.values()):.2f} s and "
        f"{max(o.peak for o in outcomes.values()) / 1e6:.0f} MB, {time.monotonic() - began:.0f} s"
    )
    assert sum(not o.reason for o in outcomes.values()) > 2000
    assert {name: o for name, o in outcomes.items() if o.cpu > CPU_SECONDS + TICK or o.peak > MEMORY} == {}


def test_all_hostile_files_in_one_add(tmp_path: Path, embedder: FakeEmbedder) -> None:
    for number, (name, data) in enumerate(hostile()):
        path = tmp_path / "hostile" / str(number // 500) / f"{number}{Path(name).suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with ImageIndex(tmp_path / "index", embedder=embedder) as index:
        first = index.add([tmp_path / "hostile"])
        assert first.added + len(first.failed) + first.skipped == 7483
        assert first.added > 2000
        assert all(failure.reason for failure in first.failed)
        assert index.check() == []
        again = index.add([tmp_path / "hostile"])
        assert (again.added, again.unchanged, len(again.failed)) == (0, first.added, len(first.failed))


@pytest.mark.parametrize("kind", ["JPEG", "progressive JPEG"])
def test_a_real_photo_of_100_megapixels(kind: str) -> None:
    image = pytest.importorskip("PIL.Image")
    photo = cv2.imread(str(min(DATA.glob("photos/*/*.jpg"))))
    large = cv2.cvtColor(cv2.resize(photo, (11_600, 8_700), interpolation=cv2.INTER_CUBIC), cv2.COLOR_BGR2RGB)
    file = io.BytesIO()
    image.fromarray(large).save(file, "JPEG", quality=90, progressive=kind.startswith("progressive"))
    data = file.getvalue()
    del large
    measured = Measured()
    with measured.decoder:
        outcome = measured.watch(data)
    print(f"{kind}: {outcome.cpu:.2f} s, {outcome.peak / 1e6:.0f} MB {outcome.reason}")
    assert outcome.reason == ""
    assert outcome.peak < MEMORY


@pytest.mark.parametrize("group", ["exif_landscape", "exif_portrait"])
def test_the_nine_orientations_are_one_picture(group: str) -> None:
    with Decoder(64) as decoder:
        pictures = [decoder.decode(path.read_bytes()) for path in sorted((DATA / "groups" / group).glob("*.jpg"))]
    assert len(pictures) == 9
    assert len({(picture.width, picture.height) for picture in pictures}) == 1
    for picture in pictures[1:]:
        assert np.abs(picture.pixels.astype(int) - pictures[0].pixels).mean() < 6
