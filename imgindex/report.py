"""Records -> JSON, and words and tables for a terminal."""

import dataclasses
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from imgindex.embed import Availability
from imgindex.records import Added, File, Neighbour, Removed, Similar

LISTED = 10  # lines of a list that a terminal shows


def added_json(added: Added) -> dict[str, Any]:
    failed = [{"path": failure.path, "reason": failure.reason} for failure in added.failed]
    return {**dataclasses.asdict(added), "failed": failed, "seconds": round(added.seconds, 3)}


def similar_json(similar: Similar) -> dict[str, Any]:
    results = [{**dataclasses.asdict(hit), "similarity": round(hit.similarity, 4)} for hit in similar.results]
    return {"query": {"id": similar.id, "path": similar.path}, "results": results}


def shown(path: str) -> str:
    """A path on one line of a terminal; relative where that is shorter."""
    with suppress(OSError):  # the current folder may be gone
        path = min((path, os.path.relpath(path)), key=len)
    return printable(path)


def printable(text: str) -> str:
    """Text on one line of a terminal, whatever bytes and controls it has."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def added_text(added: Added, missing: Sequence[str] = ()) -> str:
    failed = [f"{shown(failure.path)}: {failure.reason}" for failure in added.failed]
    rate = f", {added.added / added.seconds:.1f} a second" if added.added and added.seconds else ""
    return "\n".join(
        [
            *_listed("Not readable:", failed),
            *_listed("Missing, still remembered (imgindex remove PATH forgets):", [shown(path) for path in missing]),
            f"{_files(added.added)} added, {added.unchanged} unchanged, {added.moved} moved, "
            f"{len(failed)} not readable, in {added.seconds:.1f} s{rate}.",
            f"The index holds {_files(added.files)} of {added.images} different pictures.",
        ]
    )


def _listed(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    more = [f"and {len(lines) - LISTED} more; --json lists them all"] if len(lines) > LISTED else []
    return [title, *(f"  {line}" for line in [*lines[:LISTED], *more])]


def sum_of(before: Added, after: Added) -> Added:
    """Two adds of the same folders as one: what was done in both, and how things stand after the second."""
    return dataclasses.replace(
        after,
        added=before.added + after.added,
        moved=before.moved + after.moved,
        seconds=before.seconds + after.seconds,
    )


def removed_text(removed: Removed) -> str:
    return (
        f"{_files(removed.removed)} forgotten; nothing was deleted. "
        f"The index holds {_files(removed.files)} of {removed.images} different pictures."
    )


def similar_table(results: Sequence[Neighbour]) -> Any:
    """A rich table: similarity as a bar and in percent, id, path."""
    from rich.table import Column, Table
    from rich.text import Text

    table = Table("like", "", "id", Column("path", overflow="fold"), box=None, header_style="dim")
    for hit in results:
        bar = "█" * round(hit.similarity * 20)
        table.add_row(Text(f"{hit.similarity:.0%}"), Text(bar, "green"), Text(str(hit.id)), Text(shown(hit.path)))
    return table


def copies_table(groups: Sequence[Sequence[File]]) -> Any:
    """A rich table of files with the same bytes, a block a group."""
    from rich.table import Table
    from rich.text import Text

    table = Table("id", "same bytes", box=None, header_style="dim")
    for group in groups:
        table.add_row(Text(str(group[0].image)), Text("\n".join(shown(file.path) for file in group)))
    return table


def models_table(models: Sequence[Availability]) -> Any:
    """A rich table: each model, its dimension, and where its weights are."""
    from rich.table import Table
    from rich.text import Text

    table = Table("model", "numbers", "ready", "weights", box=None, header_style="dim")
    for model in models:
        ready = Text("yes", "green") if model.ready else Text("no", "red")
        table.add_row(Text(model.name), str(model.dimension), ready, Text(model.weights))
    return table


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
