"""``anybit serve``: a collection as an HTTP API and a web page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from anybit.cli.command import command
from anybit.cli.console import Console

__all__ = ["serve"]

_MIB = 2**20


@command
def serve(
    collection: Annotated[str, typer.Argument(help="Collection to serve.")],
    console: Console,
    host: Annotated[
        str, typer.Option(help="Address to listen on; all but loopback need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            help="Token that clients must send; other users of this machine can see it here, so "
            "rather use --token-file or the variable ANYBIT_TOKEN."
        ),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File whose first line is the token.")
    ] = None,
    is_writable: Annotated[
        bool, typer.Option("--writable", help="Let clients add and delete items.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes; they share one index.")] = 1,
    max_upload_mb: Annotated[
        float, typer.Option(min=0.001, help="Largest image or list of items, in MiB.")
    ] = 20.0,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Largest image, as width times height.")
    ] = 50_000_000,
    rate_limit: Annotated[
        float, typer.Option(min=0, help="Requests a second of one client; 0: any.")
    ] = 100.0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads that search; one for each processor.")
    ] = None,
    keep_mb: Annotated[
        float,
        typer.Option(
            min=0,
            help="Memory of a worker for keys, labels and columns of items, in MiB, so that hits "
            "are not read from disk.",
        ),
    ] = 256.0,
    decoders: Annotated[int, typer.Option(min=1, help="Processes that decode images.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    engine: Annotated[str, typer.Option(help="auto, torch, onnx.")] = "auto",
    encoder_threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of ONNX Runtime.")
    ] = None,
) -> None:
    """Serve a collection as a search page and an HTTP API.

    The page is at http://HOST:PORT/, with a token at http://HOST:PORT/#token=TOKEN; the API is
    described at /v1/openapi.json. Rows that other processes add are found within seconds. Ends
    after running requests when it is interrupted or gets SIGTERM.
    """
    from anybit.serve import ServeOptions, ServerSettings
    from anybit.serve import serve as run

    options = ServeOptions(
        token=_token(token, token_file),
        is_writable=is_writable,
        upload_bytes=int(max_upload_mb * _MIB),
        max_pixels=max_pixels,
        rate_limit=rate_limit,
        n_threads=threads,
        n_decoders=decoders,
        kept_bytes=int(keep_mb * _MIB),
    )
    settings = ServerSettings(
        collection, host, port, workers, device, engine, encoder_threads,
        is_quiet=console.flags.is_quiet,
    )  # fmt: skip

    def ready(served: dict[str, Any]) -> None:
        address = f"[{host}]" if ":" in host else host
        console.say(
            f"{collection}: {served['n_items']:,} items of {served['bits']} bits at "
            f"http://{address}:{port}/{'' if options.token is None else '#token=...'} "
            "(Ctrl-C ends it)"
        )

    run(settings, options, ready)


def _token(token: str | None, token_file: Path | None) -> str | None:
    """Return the token from where it was given."""
    from anybit.errors import OptionError

    if token is not None and token_file is not None:
        raise OptionError("a token must come from --token or --token-file, got both.")
    if token_file is None:
        return token if token is not None else os.environ.get("ANYBIT_TOKEN")
    try:
        lines = token_file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as cause:
        raise OptionError(f"--token-file must be a readable text file: {cause}") from cause
    return lines[0].strip() if lines else ""
