"""The command line: parse, call, show."""

import io
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from imgindex import ImageIndex, ImgindexError, UsageError, __version__, available_models
from imgindex.cli import clusters as cli_themes
from imgindex.cli import duplicates as cli_copies
from imgindex.cli import serve as cli_serve
from imgindex.cli.console import Index, Json, Model, Strict, Weights, existing, folder, progress, show
from imgindex.rendering import exports
from imgindex.rendering import text as report

app = typer.Typer(
    help="Find the copies, find images like this, and keep a growing collection sorted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"imgindex {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Find the copies, find images like this, and keep a growing collection sorted."""


app.add_typer(cli_copies.app)
app.add_typer(cli_themes.app)
app.add_typer(cli_serve.app)


def main() -> None:
    """Run the command line; an error is one sentence on stderr, exit 2 for wrong usage and 1 for the rest."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that is not UTF-8 shows what it can
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("imgindex").setLevel(logging.INFO)
    try:
        app()
    except ImgindexError as error:
        print(f"imgindex: {report.printable(str(error))}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except OSError as error:  # the output's disk is full, the current folder is gone
        print(f"imgindex: {report.printable(str(error))}.", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != 130:  # typer's code for Ctrl-C
            raise
        print("imgindex: Stopped.", file=sys.stderr)
        sys.exit(1)


@app.command()
def add(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Pictures and folders.")],
    model: Model = None,
    weights: Weights = None,
    strict: Strict = False,
    index: Index = None,
    json: Json = False,
) -> None:
    """Index pictures and folders; what is unchanged is skipped."""
    with ImageIndex(folder(index), model=model, weights=weights) as opened, progress(opened) as step:
        added = opened.add(paths, progress=step)
        opened.prove(progress=step)
    show(json, exports.added_json(added), lambda: report.added_text(added))
    raise typer.Exit(int(strict and bool(added.failed)))


@app.command()
def remove(
    targets: Annotated[list[str], typer.Argument(metavar="PATH_OR_ID...", help="Pictures, folders, or image ids.")],
    index: Index = None,
    json: Json = False,
) -> None:
    """Forget pictures; files stay where they are, but for those that were uploaded to the server."""
    with existing(index) as opened:
        removed = opened.remove(
            int(target) if target.isdecimal() and not os.path.lexists(target) else target for target in targets
        )
    show(json, asdict(removed), lambda: report.removed_text(removed))


@app.command()
def sync(weights: Weights = None, strict: Strict = False, index: Index = None, json: Json = False) -> None:
    """Walk the added folders again: take what is new, list what is missing."""
    with existing(index, weights) as opened, progress(opened) as step:
        added = opened.sync(progress=step)
        opened.prove(progress=step)
        missing = opened.missing()
    show(json, exports.added_json(added) | {"missing": missing}, lambda: report.added_text(added, missing))
    raise typer.Exit(int(strict and bool(added.failed)))


@app.command()
def watch(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", exists=True, file_okay=False)],
    model: Model = None,
    weights: Weights = None,
    index: Index = None,
    json: Json = False,
) -> None:
    """Index folders, then whatever comes into them, until Ctrl-C."""
    import watchfiles

    with ImageIndex(folder(index), model=model, weights=weights) as opened:
        total = None
        own = os.path.realpath(opened.folder)
        changes = watchfiles.watch(
            *folders,
            watch_filter=lambda _, path: not Path(os.path.realpath(path)).is_relative_to(own),
            yield_on_timeout=True,
            rust_timeout=500,
        )
        try:
            for change in changes:  # the first comes after half a second, when the watch is on
                left = [folder for folder in folders if folder.is_dir()]
                if total is None:
                    with progress(opened) as step:
                        total = opened.add(left, progress=step)
                        opened.prove(progress=step)
                    print(report.added_text(total), "Watching; Ctrl-C ends it.", sep="\n", file=sys.stderr)
                elif change and left:
                    new, before = opened.add(left), total
                    opened.prove()
                    total = report.sum_of(before, new)
                    if new.added or new.moved or len(new.failed) > len(before.failed):
                        print(report.added_text(new), file=sys.stderr)
                if not left:
                    break
        except KeyboardInterrupt:
            print(file=sys.stderr)
        total, missing = total or opened.add([]), opened.missing()
    show(json, exports.added_json(total) | {"missing": missing}, lambda: report.added_text(total, missing))


@app.command()
def similar(
    image: Annotated[str | None, typer.Argument(metavar="IMAGE", help="A picture, indexed or not.")] = None,
    image_id: Annotated[int | None, typer.Option("--id", help="An indexed picture by its id.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many to find.")] = 10,
    weights: Weights = None,
    index: Index = None,
    json: Json = False,
) -> None:
    """Find the pictures most like one."""
    query = image_id if image is None else image
    if query is None or (image is not None and image_id is not None):
        raise UsageError("name one picture: IMAGE, or --id ID.")
    with existing(index, weights) as opened:
        found = opened.similar(query, k=k)
    show(json, exports.similar_json(found), lambda: report.similar_table(found.results))


@app.command()
def check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Make anew what can be derived, forget what is broken.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Also compute all duplicates anew, and compare.")] = False,
    index: Index = None,
    json: Json = False,
) -> None:
    """Look whether the index is whole."""
    with existing(index) as opened, progress(opened, "checking") as step:
        problems = opened.check(full=full, progress=step)
        if repair and problems:
            opened.repair(full=full)
            left = opened.check(full=full, progress=step)
            print(
                *problems,
                "Repaired." if not left else "Not all could be repaired.",
                sep="\n",
                file=sys.stderr,
            )
            problems = left
    show(json, {"ok": not problems, "problems": problems}, lambda: "\n".join(problems) or "The index is whole.")
    raise typer.Exit(int(bool(problems)))


@app.command()
def models(weights: Weights = None, json: Json = False) -> None:
    """List the models, and whether their weights are at hand."""
    known = available_models(weights=weights)
    show(json, {"models": [asdict(model) for model in known]}, lambda: report.models_table(known))


@app.command()
def demo(
    serve: Annotated[bool, typer.Option("--serve", help="Then serve what was made, until Ctrl-C.")] = False,
    port: cli_serve.Port = cli_serve.PORT,
) -> None:
    """Run the main job on real photos, in a new temporary folder."""
    from rich.console import Console

    from imgindex.cli.demo import run

    index = run(Console(), progress, port)
    if serve:
        cli_serve.run({"INDEX": index, "PORT": port})
