"""translate-serve: the HTTP server."""

import os
import socket
import sys
from typing import Annotated, Never

import typer
import uvicorn
from pydantic import ValidationError

from server.app import create_app
from server.engine import Engine
from server.settings import PREFIX, Settings, describe
from translate.runtime.errors import TranslateError


def _epilog() -> str:
    rows = [f"{name}  {text}" + (f" [default: {default}]" if default else "") for name, default, text in describe()]
    return "\n\n".join(["Environment variables, all optional; an option wins over its variable:", *rows])


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog=_epilog())
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [default: 127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, 0 for a free one [default: 8000].")] = None,
    model: Annotated[str | None, typer.Option(help="Model to load at start and to use by default [default: restore].")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda [default: cpu].")] = None,
) -> None:
    """Serve translators over HTTP, with a web page at / and the service's description at /docs.

    translate-serve

    translate-serve --port 9000 --model restore

    TRANSLATE_WEIGHTS=/srv/models translate-serve --host 0.0.0.0
    """
    options = {"host": host, "port": port, "model": model, "device": device}
    _warn_of_misspelt()
    try:
        settings = Settings(**{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        _fail(*(f"{PREFIX}{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors()))
    listener = _listen(settings.host, settings.port)
    engine = Engine(settings)
    try:
        engine.model(settings.model)
    except TranslateError as error:
        _fail(str(error))
    config = uvicorn.Config(
        create_app(settings, engine), timeout_graceful_shutdown=int(settings.timeout), server_header=False, log_level="info"
    )
    uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        _fail(f"Cannot listen on {host} port {port}: {error.strerror or error}. Choose another with --port or --host.")


def _warn_of_misspelt() -> None:
    known = {name for name, _, _ in describe()}
    for name in sorted(set(os.environ) - known):
        if name.startswith(PREFIX):
            typer.echo(f"Warning: {name} is not a setting of the server and has no effect. See translate-serve --help.", err=True)


def _fail(*lines: str) -> Never:
    for line in lines:
        typer.echo(f"Error: {line}", err=True)
    sys.exit(1)
