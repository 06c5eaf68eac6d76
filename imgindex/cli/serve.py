"""The commands about the server: serve, token."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from imgindex.cli.console import Index, Json, Model, Weights, folder, show
from imgindex.rendering import text as report

app = typer.Typer()

PORT = 8787

Port = Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")]


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on; any but loopback needs a token.")] = "127.0.0.1",
    port: Port = PORT,
    name: Annotated[
        list[str] | None, typer.Option("--name", metavar="HOST", help="Another name by which browsers call it.")
    ] = None,
    proxy: Annotated[
        bool,
        typer.Option(
            "--proxy", help="It is behind a proxy on this machine that sets X-Forwarded-For and X-Forwarded-Proto."
        ),
    ] = False,
    token: Annotated[
        str | None, typer.Option(envvar="IMGINDEX_TOKEN", metavar="TOKEN", help="Asked of everybody; reads and writes.")
    ] = None,
    tokens: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Hashed tokens, as imgindex token makes them.")
    ] = None,
    recluster: Annotated[str, typer.Option(metavar="SCHEDULE", help="12h, 7d, or cron; and on drift.")] = "7d",
    report_: Annotated[str, typer.Option("--report", metavar="SCHEDULE", help="When to keep a report.")] = "1d",
    sync: Annotated[
        str | None, typer.Option(metavar="SCHEDULE", help="When to walk the added folders; by default, never.")
    ] = None,
    model: Model = None,
    weights: Weights = None,
    index: Index = None,
) -> None:
    """Serve the index to browsers and programs, until Ctrl-C."""
    where = folder(index)
    run(
        {
            "INDEX": where, "MODEL": model, "WEIGHTS": weights, "HOST": host, "PORT": port, "HOSTS": tuple(name or ()),
            "PROXY": proxy, "TOKEN": token, "TOKENS": tokens, "RECLUSTER": recluster, "REPORT": report_, "SYNC": sync,
        }
    )  # fmt: skip


def run(config: dict[str, object]) -> None:
    """Serve, saying where on stderr; requests are logged on stdout."""
    from imgindex.server.run import serve as serve_app

    requests = logging.getLogger("imgindex.server.requests")
    requests.addHandler(logging.StreamHandler(sys.stdout))
    requests.propagate = False

    def started(address: str) -> None:
        print(f"Serving {report.printable(str(config['INDEX']))} at {address}, Ctrl-C ends it.", file=sys.stderr)

    serve_app(config, started=started)


@app.command()
def token(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where hashed tokens are kept, one a line.")],
    read_only: Annotated[bool, typer.Option("--read-only", help="It may look, and change nothing.")] = False,
    note: Annotated[str, typer.Option(help="Whose it is.")] = "",
    json: Json = False,
) -> None:
    """Make a token for the server's --tokens FILE; it is shown once, only its hash is kept."""
    from imgindex.server.middleware.tokens import add_token

    made = add_token(file, read_only=read_only, note=note)
    show(json, {"token": made, "file": str(file)}, lambda: made)
