"""The options that several commands have, and what their values mean."""

import inspect
import os
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from imgindex import ImageIndex, NotIndexedError, UsageError
from imgindex.rendering.formats import FORMATS

Index = Annotated[
    str | None,
    typer.Option(
        "--index",
        envvar="IMGINDEX_DIR",
        metavar="DIR",
        help="Where the index is; by default, in the user's data folder.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help=FORMATS["json"].about)]
Model = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="One that `imgindex models` lists; fixed once the index exists."),
]
Weights = Annotated[Path | None, typer.Option(metavar="FILE", help="The model's weights, in Keras's .h5 layout.")]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude", metavar="PATTERN", help="Leave out what fits, as in a .gitignore; remembered. May be repeated."
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 if a file could not be read.")]


def in_formats(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each row of FORMATS; it receives them as `formats`, by name: a flag, or a file."""
    own = inspect.signature(command)
    options = [
        inspect.Parameter(
            row.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if row.printed else None,
            annotation=Annotated[bool, typer.Option(f"--{row.name}", help=row.about)]
            if row.printed
            else Annotated[Path | None, typer.Option(f"--{row.name}", metavar="FILE", help=row.about)],
        )
        for row in FORMATS.values()
    ]

    @wraps(command)
    def with_formats(**given: Any) -> None:
        command(formats={name: given.pop(name) for name in FORMATS}, **given)

    kept = [parameter for name, parameter in own.parameters.items() if name != "formats"]
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in [*kept, *options]]
    with_formats.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]  # read by typer
    with_formats.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_formats


def folder(index: str | None) -> Path:
    """Where the index is."""
    if index == "":
        raise UsageError("The value of --index is empty; name a folder, or omit the option.")
    if index:
        return Path(index).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("imgindex", appauthor=False))


def existing(index: str | None, weights: Path | None = None) -> ImageIndex:
    """An index that must exist already."""
    where = folder(index)
    if not ImageIndex.exists(where):
        raise NotIndexedError(f"There is no index in {where}; run `imgindex add FOLDER --index {where}` to create one.")
    return ImageIndex(where, weights=weights)


def ids_or_paths(targets: Iterable[str]) -> list[int | str]:
    """A number is the id of an image, unless a file has that name."""
    return [int(target) if target.isdecimal() and not os.path.lexists(target) else target for target in targets]


def in_order(keep: str) -> list[str]:
    """The names of an option such as `pixels,oldest`."""
    return [name.strip() for name in keep.split(",")] if keep else []
