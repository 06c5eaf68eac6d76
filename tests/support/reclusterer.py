"""A warm process that forks a child for each job about themes, as tests/support/adder.py does for adding."""

import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[2])

import kneed  # noqa: E402, F401  # here and below: what a child would import first
import scipy.optimize  # noqa: E402, F401
import sklearn.cluster  # noqa: E402, F401

from imgindex import BusyError  # noqa: E402
from imgindex.storage.database import sqlite3  # noqa: E402
from tests.support import adder  # noqa: E402
from tests.support.adder import opened, tell  # noqa: E402


def recluster(index: str, clusters: int) -> None:
    """One run, which tells of each candidate, and of each statement from the one that publishes on."""
    connect = sqlite3.connect
    publishing = False

    def traced(*arguments: Any, **options: Any) -> Any:
        def trace(sql: str) -> None:
            if publishing:
                tell("sql " + sql[:20].replace("\n", " "))

        connection = connect(*arguments, **options)
        connection.set_trace_callback(trace)
        return connection

    def progress(done: int, of: int) -> None:
        nonlocal publishing
        tell(f"candidate {done}")
        publishing = done == of

    sqlite3.connect = traced
    with opened(index) as images:
        tell("start")
        run = images.themes.recluster(clusters, progress=progress)
        publishing = False
        tell(f"run {run.id}")


def reclusters(index: str, rounds: int) -> None:
    """Many runs, some of them refused as another process is at it."""
    busy = 0
    with opened(index) as images:
        for number in range(rounds):
            try:
                run = images.themes.recluster(None if number % 2 else 3 + number % 5)
                tell(f"run {run.id}")
            except BusyError:
                busy += 1
            problems = images.check()
            assert not problems, problems
            themes = images.themes.current().themes
            placed = [member.id for theme in themes for member in theme.images]
            assert len({*placed}) == len(placed)
    tell(f"busy {busy}")


adder.recluster = recluster  # type: ignore[attr-defined]
adder.reclusters = reclusters  # type: ignore[attr-defined]

if __name__ == "__main__":
    adder.serve()
