"""What commands write: a result, a file, progress."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from json import dumps
from pathlib import Path
from typing import Any

from imgindex import ImageIndex, ImgindexError, StorageError
from imgindex.rendering.formats import FORMATS, Format


def show_formats(
    formats: Mapping[str, Any], rows: Callable[[Format], Iterable[str]], readable: Callable[[], Any]
) -> None:
    """Write the files that were asked for, then print the first format that was, or else what a person reads."""
    for row in FORMATS.values():
        if formats[row.name] and not row.printed:
            write(formats[row.name], rows(row))
    for row in FORMATS.values():
        if formats[row.name] and row.printed:
            sys.stdout.writelines(rows(row))
            return
    _print(readable())


def show(json: bool, value: dict[str, Any], readable: Callable[[], Any]) -> None:
    """Print one JSON document, or what a person reads."""
    if json:
        print(dumps(value, indent=2))
    else:
        _print(readable())


def _print(readable: Any) -> None:
    from rich.console import Console

    Console(soft_wrap=True).print(readable, markup=False, highlight=False)


@contextmanager
def progress(index: ImageIndex, doing: str = "adding") -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr with rate and time left; Ctrl-C ends the command in a sentence."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f}/s" if task.speed else "")

    columns = TextColumn(doing), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def step(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        try:
            yield step
        except KeyboardInterrupt:
            counts = index.counts()
            raise ImgindexError(
                f"Stopped; {counts.files} files are safe in the index. Run the same command again to continue."
            ) from None


def write(file: Path, parts: Iterable[str]) -> None:
    """Write a text file. Raises StorageError."""
    try:
        with open(file, "w", encoding="utf-8", newline="") as out:
            out.writelines(parts)
    except OSError as error:
        raise StorageError(f"{file} cannot be written ({error.strerror}); name another file.") from error
