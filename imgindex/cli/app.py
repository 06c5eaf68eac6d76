"""The command line: the commands about images, and what all commands end in."""

import io
import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from imgindex import ImageIndex, ImgindexError, UsageError, __version__, available_models, decoder_sandbox
from imgindex.cli import clusters, duplicates, policies, serve
from imgindex.cli.console import progress, show
from imgindex.cli.options import Exclude, Index, Json, Model, Strict, Weights, existing, folder, ids_or_paths
from imgindex.rendering import exports, text
from imgindex.rendering.paths import printable

ABOUT = "Find the copies, find images like this, and keep a growing collection sorted."

app = typer.Typer(
    help=ABOUT,
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


for commands in (duplicates, policies, clusters, serve):
    app.add_typer(commands.app)


def main() -> None:
    """Run the command line; an error is one sentence on stderr, exit 2 for wrong usage and 1 for the rest."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # so that a terminal that is not UTF-8 shows what it can
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("imgindex").setLevel(logging.INFO)
    try:
        app()
    except ImgindexError as error:
        print(f"imgindex: {printable(' '.join(filter(None, (str(error), error.hint))))}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except OSError as error:  # such as a full disk, or a current folder that is gone
        print(f"imgindex: {printable(str(error))}.", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != 130:  # typer's code for Ctrl-C
            raise
        print("imgindex: Stopped.", file=sys.stderr)
        sys.exit(1)


@app.command()
def add(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Pictures and folders.")],
    exclude: Exclude = None,
    model: Model = None,
    weights: Weights = None,
    strict: Strict = False,
    index: Index = None,
    json: Json = False,
) -> None:
    """Index pictures and folders; unchanged files are skipped."""
    with ImageIndex(folder(index), model=model, weights=weights) as opened, progress(opened) as step:
        added = opened.add(paths, exclude=exclude or (), progress=step)
        opened.duplicates.prove(progress=step)
    show(json, exports.added_json(added), lambda: text.added_text(added))
    raise typer.Exit(int(strict and bool(added.failed)))


@app.command()
def remove(
    targets: Annotated[list[str], typer.Argument(metavar="PATH_OR_ID...", help="Pictures, folders, or image ids.")],
    index: Index = None,
    json: Json = False,
) -> None:
    """Forget pictures; files stay where they are, except an upload whose id is given: its file is deleted."""
    with existing(index) as opened:
        removed = opened.remove(ids_or_paths(targets))
    show(json, asdict(removed), lambda: text.removed_text(removed))


@app.command()
def sync(weights: Weights = None, strict: Strict = False, index: Index = None, json: Json = False) -> None:
    """Walk the added folders again: index new files, list missing ones."""
    with existing(index, weights) as opened, progress(opened) as step:
        added = opened.sync(progress=step)
        opened.duplicates.prove(progress=step)
        missing, out = opened.missing(), opened.left_out()
    found = exports.added_json(added) | {"missing": missing, "left_out": out}
    show(json, found, lambda: text.added_text(added, missing, out))
    raise typer.Exit(int(strict and bool(added.failed)))


@app.command()
def watch(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", exists=True, file_okay=False)],
    exclude: Exclude = None,
    model: Model = None,
    weights: Weights = None,
    index: Index = None,
    json: Json = False,
) -> None:
    """Index folders, then every new file in them, until Ctrl-C."""
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
            for change in changes:  # the first comes after half a second, once the watch is active
                left = [folder for folder in folders if folder.is_dir()]
                if total is None:
                    with progress(opened) as step:
                        total = opened.add(left, exclude=exclude or (), progress=step)
                        opened.duplicates.prove(progress=step)
                    print(text.added_text(total), "Watching; press Ctrl-C to stop.", sep="\n", file=sys.stderr)
                elif change and left:
                    new, before = opened.add(left), total
                    opened.duplicates.prove()
                    total = text.sum_of(before, new)
                    if new.added or new.moved or len(new.failed) > len(before.failed):
                        print(text.added_text(new), file=sys.stderr)
                if not left:
                    break
        except KeyboardInterrupt:
            print(file=sys.stderr)
        total, missing = total or opened.add([]), opened.missing()
    show(json, exports.added_json(total) | {"missing": missing}, lambda: text.added_text(total, missing))


@app.command()
def similar(
    image: Annotated[str | None, typer.Argument(metavar="IMAGE", help="A picture, indexed or not.")] = None,
    image_id: Annotated[int | None, typer.Option("--id", help="The id of an indexed picture.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many pictures to find.")] = 10,
    weights: Weights = None,
    index: Index = None,
    json: Json = False,
) -> None:
    """Find the pictures most similar to one."""
    query = image_id if image is None else image
    if query is None or (image is not None and image_id is not None):
        raise UsageError("Name exactly one picture, as IMAGE or as --id ID.")
    with existing(index, weights) as opened:
        found = opened.similar(query, k=k)
    show(json, exports.similar_json(found), lambda: text.similar_table(found.results))


@app.command()
def check(
    repair: Annotated[bool, typer.Option("--repair", help="Rebuild derived files and drop broken entries.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Also read all files and recompute all duplicates, and compare.")
    ] = False,
    index: Index = None,
    json: Json = False,
) -> None:
    """Check the index, and tell how far the process that decodes pictures is shut in."""
    with existing(index) as opened, ThreadPoolExecutor(1) as beside, progress(opened, "checking") as step:
        asked = beside.submit(decoder_sandbox)
        problems = opened.check(full=full, progress=step)
        if repair and problems:
            opened.repair(full=full)
            left = opened.check(full=full, progress=step)
            print(
                *problems,
                "Repaired." if not left else "Some problems could not be repaired.",
                sep="\n",
                file=sys.stderr,
            )
            problems = left
        elif problems:
            print(f"Run `imgindex check --repair{' --full' * full}` to repair it.", file=sys.stderr)
        sandbox = asked.result()
    told = exports.sandbox_json(sandbox)
    show(json, {"ok": not problems, "problems": problems, "sandbox": told}, lambda: text.check_text(problems, sandbox))
    raise typer.Exit(int(bool(problems)))


@app.command()
def models(weights: Weights = None, json: Json = False) -> None:
    """List the models, and whether their weights are available."""
    known = available_models(weights=weights)
    show(json, {"models": [asdict(model) for model in known]}, lambda: text.models_table(known))


@app.command()
def demo(
    then_serve: Annotated[bool, typer.Option("--serve", help="Then serve the index, until Ctrl-C.")] = False,
    port: serve.Port = serve.PORT,
) -> None:
    """Show everything on real photos, in a new temporary folder."""
    from rich.console import Console

    from imgindex.cli.demo import run

    index = run(Console(), progress, port)
    if then_serve:
        serve.run({"INDEX": index, "PORT": port})
