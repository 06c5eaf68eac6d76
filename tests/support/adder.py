"""A warm process that forks a child for each job, so that a test can kill a hundred of them in seconds.

Reads one JSON a line: {"job": ..., "out": ..., "err": ..., ...} starts a child and answers with its pid,
{"wait": pid} answers with its exit code. Children tell on `out` where they are, line by line.
"""

import json
import logging
import os
import random
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

ROOT = str(Path(__file__).resolve().parents[2])
if __name__ == "__main__":
    sys.path[0] = ROOT

import faiss  # noqa: E402, F401  # here and below: what a child would import first
import sklearn.decomposition  # noqa: E402, F401

from imgindex import ImageIndex, ImgindexError, NotIndexedError  # noqa: E402
from imgindex.cli.app import main as cli  # noqa: E402
from imgindex.decoding import decoder  # noqa: E402
from imgindex.ingest import index_model as model  # noqa: E402
from imgindex.search import neighbours  # noqa: E402
from imgindex.search import projection as space  # noqa: E402
from imgindex.search.faiss_file import FaissFile  # noqa: E402
from imgindex.storage.database import sqlite3  # noqa: E402
from imgindex.storage.storage import Storage  # noqa: E402
from tests.support.decoding import InlineDecoder  # noqa: E402
from tests.support.embedders import FakeEmbedder  # noqa: E402


class SlowEmbedder(FakeEmbedder):
    seconds = 0.0  # that a batch takes

    def embed(self, pixels: Any) -> Any:
        tell("embed")
        time.sleep(self.seconds)
        return super().embed(pixels)


def tell(line: str) -> None:
    os.write(1, os.fsencode(line) + b"\n")


def opened(index: str) -> ImageIndex:
    return ImageIndex(index, embedder=SlowEmbedder())


def bulk(index: str, paths: list[str]) -> None:
    """Add everything at once."""
    with opened(index) as images:
        added = images.add(paths, progress=lambda done, _: tell(f"done {done}"))
    tell(f"added {added.added} {len(added.failed)} {added.images} {added.files}")


def singly(index: str, paths: list[str]) -> None:
    """Add one file after the other."""
    with opened(index) as images:
        for path in paths:
            assert not images.add([path]).failed
            tell(f"ack {path}")


def receive(index: str, paths: list[str], seed: int) -> None:
    """Take pictures as a server does, up to three at once, from a random one on."""
    chance = random.Random(seed)
    with opened(index) as images:
        tell("start")
        while True:
            data = [Path(path).read_bytes() for path in chance.sample(paths, chance.randint(1, 3))]
            received = [images.uploads.decode(one) for one in data]
            new = [one for one in received if one.image is None]
            taken = images.uploads.add(new, images.uploads.embed(new)) if new else []
            kept = {one.sha256: image for one, (image, _) in zip(new, taken, strict=True)}
            for one in received:
                tell(f"ack {one.image or kept[one.sha256]} {one.sha256.hex()}")
            if chance.random() < 0.3:
                gone = received.pop()
                tell(f"forget {gone.sha256.hex()}")
                images.remove([gone.image or kept[gone.sha256]])


def churn(index: str, paths: list[str], rounds: int) -> None:
    """Add and forget."""
    with opened(index) as images:
        for _ in range(rounds):
            assert not images.add(paths).failed
            images.remove(paths)
    tell("ok")


def read(index: str, stop: str, gone: bool = False) -> None:
    """Ask and check until told to stop; `gone`: others may forget what is asked for."""
    with opened(index) as images:
        store = Storage.open(Path(index) / "index.db")
        rounds = 0
        while not os.path.exists(stop):
            problems = images.check()
            assert not problems, problems
            ids = [int(image) for image in store.embeddings.ids()]
            if ids:
                try:
                    results = images.similar(random.choice(ids), k=5).results
                except NotIndexedError:
                    assert gone
                    continue
                assert gone or min(5, len(ids) - 1) <= len(results) <= 5, (len(ids), results)
            rounds += 1
        store.close()
    tell(f"rounds {rounds}")


def upload(index: str, paths: list[str]) -> None:
    """Take pictures as a server does, once."""
    with opened(index) as images:
        try:
            received = [images.uploads.decode(Path(path).read_bytes()) for path in paths]
            if new := [one for one in received if one.image is None]:
                images.uploads.add(new, images.uploads.embed(new))
        except ImgindexError as error:
            sys.exit(f"imgindex: {error}")


def await_tracer() -> None:
    """Go on once another program (strace) has attached itself."""
    while "TracerPid:\t0\n" in Path("/proc/self/status").read_text():
        time.sleep(0.002)


def command(arguments: list[str]) -> None:
    """Run the command line."""
    sys.argv = ["imgindex", *arguments]
    tell("start")
    cli()


def trace() -> None:
    """Tell of the beginning of each commit, save and fit."""

    def told(function: Callable[..., Any], line: str) -> Callable[..., Any]:
        def tells(*arguments: Any) -> Any:
            tell(line)
            return function(*arguments)

        return tells

    connect = sqlite3.connect

    def traced(*arguments: Any, **options: Any) -> Any:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(lambda sql: tell("commit") if sql == "COMMIT" else None)
        return connection

    sqlite3.connect = traced
    FaissFile.save = told(FaissFile.save, "save")  # type: ignore[method-assign]
    space.fit = told(space.fit, "fit")


def start(
    *, job: str, out: str, err: str, at: float = 0, inline: bool = True, traced: bool = False,
    slow: float = 0, user: int = 0, awaited: bool = False, home: str = "", **arguments: Any,
) -> int:  # fmt: skip
    """Fork a child for a job that begins at a time, in a session of its own; `slow`: seconds to embed a batch.

    `awaited`: only once it is traced. `home`: the folder of its trash.
    """
    if pid := os.fork():
        return pid
    code = 70
    try:
        os.setsid()
        for name, stream in (out, 1), (err, 2):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        model.load_embedder = lambda name, **_: SlowEmbedder(name)  # type: ignore[assignment]
        model.default_model = lambda **_: ("fake", "as it is here")  # type: ignore[assignment]
        SlowEmbedder.seconds = slow
        if inline:
            decoder.Decoder = InlineDecoder  # type: ignore[misc, assignment]
        if traced:
            neighbours.WORTH_SAVING = 0  # every change
            trace()
        if user:
            os.setuid(user)
        if home:
            os.environ["XDG_DATA_HOME"] = home
        while time.time() < at:
            pass
        if awaited:
            await_tracer()
        globals()[job](**arguments)
        code = 0
    except SystemExit as exit:
        if isinstance(exit.code, str):
            print(exit.code, file=sys.stderr)
        code = int(isinstance(exit.code, str) or exit.code or 0)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve() -> None:
    """Do what standard input orders."""
    sys.argv = ["imgindex", "models", "--json"]  # a first command imports what every one needs
    with redirect_stdout(StringIO()), suppress(SystemExit):
        cli()
    logging.getLogger().handlers.clear()  # a job that is no command says nothing else
    logging.getLogger("imgindex").setLevel(logging.NOTSET)
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            print(os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1]), flush=True)
        else:
            print(start(**order), flush=True)


if __name__ == "__main__":
    serve()
