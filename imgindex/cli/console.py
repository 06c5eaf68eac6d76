"""What commands share: their options, opening the index, showing a result, progress."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer

from imgindex import ImageIndex, ImgindexError, NotIndexedError, StorageError, UsageError

Index = Annotated[
    str | None,
    typer.Option(
        "--index",
        envvar="IMGINDEX_DIR",
        metavar="DIR",
        help="Where the index is; by default, the user data folder.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Model = Annotated[str | None, typer.Option(metavar="NAME", help="vgg16-fc2 or vgg16-gem; for life.")]
Weights = Annotated[Path | None, typer.Option(metavar="FILE", help="The model's weights, in Keras's .h5 layout.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit 1 when a file could not be read.")]


def folder(index: str | None) -> Path:
    if index == "":
        raise UsageError("--index is empty; name a folder, or leave it out.")
    if index:
        return Path(index).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("imgindex", appauthor=False))


def existing(index: str | None, weights: Path | None = None) -> ImageIndex:
    """An index that must be there already."""
    where = folder(index)
    if not ImageIndex.exists(where):
        raise NotIndexedError(f"there is no index in {where}; imgindex add FOLDER --index {where} begins one.")
    return ImageIndex(where, weights=weights)


def show(json: bool, value: dict[str, Any], readable: Callable[[], Any]) -> None:
    if json:
        print(dumps(value, indent=2))
        return
    from rich.console import Console

    Console(soft_wrap=True).print(readable(), markup=False, highlight=False)


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
                f"Stopped; {counts.files} files are safe in the index; run the same command again to go on."
            ) from None


def write(file: Path, parts: Iterator[str] | list[str]) -> None:
    """Write a file, all errors a sentence."""
    try:
        with open(file, "w", encoding="utf-8", newline="") as out:
            out.writelines(parts)
    except OSError as error:
        raise StorageError(f"{file} cannot be written ({error.strerror}); name another file.") from error
