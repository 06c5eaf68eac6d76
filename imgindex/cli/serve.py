"""The commands about the server: serve, token."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from imgindex.cli.console import show
from imgindex.cli.options import Index, Json, Model, Weights, folder
from imgindex.rendering.paths import printable
from imgindex.server.settings import Settings

app = typer.Typer()

PORT = Settings.port

Port = Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 picks a free one.")]


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on; needs a token unless loopback.")] = Settings.host,
    port: Port = PORT,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="Another name by which browsers reach it."),
    ] = None,
    proxy: Annotated[
        bool,
        typer.Option("--proxy", help="Trust X-Forwarded-For and X-Forwarded-Proto of a proxy on this machine."),
    ] = False,
    token: Annotated[
        str | None,
        typer.Option(envvar="IMGINDEX_TOKEN", metavar="TOKEN", help="Required from every client; read and write."),
    ] = None,
    tokens: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Hashed tokens, as `imgindex token` makes them.")
    ] = None,
    recluster: Annotated[
        str, typer.Option(metavar="SCHEDULE", help="When to recluster: 12h, 7d, or cron.")
    ] = Settings.recluster,
    report_: Annotated[str, typer.Option("--report", metavar="SCHEDULE", help="When to save one.")] = Settings.report,
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
    """Serve, with the address on stderr and the log of requests on stdout."""
    from imgindex.server.run import serve as serve_app

    requests = logging.getLogger("imgindex.server.requests")
    requests.addHandler(logging.StreamHandler(sys.stdout))
    requests.propagate = False

    def started(address: str) -> None:
        print(f"Serving {printable(str(config['INDEX']))} at {address}, press Ctrl-C to stop.", file=sys.stderr)

    serve_app(config, started=started)


@app.command()
def token(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file of hashed tokens, one per line.")],
    read_only: Annotated[bool, typer.Option("--read-only", help="It may look but not change anything.")] = False,
    note: Annotated[str, typer.Option(help="Owner or purpose.")] = "",
    json: Json = False,
) -> None:
    """Make a token for `imgindex serve --tokens FILE`; it is shown once, and only its hash is stored."""
    from imgindex.server.middleware.tokens import add_token

    made = add_token(file, read_only=read_only, note=note)
    show(json, {"token": made, "file": str(file)}, lambda: made)
