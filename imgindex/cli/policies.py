"""The commands about what must not be lost: policies, and whether a folder is held."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from imgindex.cli.console import progress, show
from imgindex.cli.options import Index, Json, Weights, existing, in_order
from imgindex.rendering import exports, text

app = typer.Typer()

_Folders = list[Path] | None


@app.command()
def policy(
    protect: Annotated[
        _Folders, typer.Option("--protect", metavar="FOLDER", help="Nothing in it is ever put away.")
    ] = None,
    prefer: Annotated[
        _Folders, typer.Option("--prefer", metavar="FOLDER", help="Its files stay rather than others.")
    ] = None,
    forget: Annotated[
        _Folders, typer.Option("--forget", metavar="FOLDER", help="Neither protect nor prefer it any more.")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option("--keep", metavar="ORDER", help="What settles ties, in order: pixels,compression,oldest,path."),
    ] = None,
    separate_raw: Annotated[
        bool | None,
        typer.Option("--separate-raw/--raw-with-jpeg", help="Judge the raw file and the JPEG of a shot separately."),
    ] = None,
    index: Index = None,
    json: Json = False,
) -> None:
    """Show or change what holds for all groups: protected and preferred folders, the order of ties."""
    with existing(index) as opened:
        policies = opened.duplicates.policies
        policies.change(
            protect=protect or (),
            prefer=prefer or (),
            forget=forget or (),
            keep=None if keep is None else in_order(keep),
            separate_raw=separate_raw,
        )
        now = policies.get()
    show(json, exports.policies_json(now), lambda: text.policies_text(now))


@app.command()
def contains(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder or a picture, which is not added.")],
    weights: Weights = None,
    index: Index = None,
    json: Json = False,
) -> None:
    """Say whether your collection holds all pictures of a folder; exit 1 when something is not held."""
    with existing(index, weights) as opened, progress(opened, "looking") as step:
        found = opened.contents.of_folder(folder, progress=step)
    show(json, exports.containment_json(found), lambda: text.containment_text(found))
    sys.stdout.flush()
    raise typer.Exit(int(not found.safe))
