"""translate-serve: the HTTP server."""

import math
import os
import signal
import socket
import sys
from types import FrameType
from typing import Annotated, Never

import typer
import uvicorn
from pydantic import ValidationError

from server import connections, logs
from server.app import create_app
from server.engine import Engine
from server.settings import PREFIX, Settings, describe
from translate.runtime.errors import InvalidModel, TranslateError

UNREAD = 60
"""Seconds after which a connection ends whose client takes nothing of its answer."""


def _epilog() -> str:
    rows = [f"{name}  {text}" + (f" [default: {default}]" if default else "") for name, default, text in describe()]
    return "\n\n".join(["Environment variables, all optional; an option wins over its variable:", *rows])


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog=_epilog())
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [default: 127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, 0 for a free one [default: 8000].")] = None,
    model: Annotated[str | None, typer.Option(help="Model to load at start and to use by default [default: restore].")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, openvino or openvino-bf16 [default: cpu].")] = None,
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
        _fail(
            *(f"{PREFIX}{str(each['loc'][0]).upper()}: {each['msg']}" if each["loc"] else each["msg"] for each in error.errors())
        )
    logs.configure(settings.log)
    listener = _listen(settings.host, settings.port)
    engine = Engine(settings)
    try:
        engine.shelf.get(settings.model)
    except InvalidModel as error:
        if engine.shelf.store.names() == [settings.model]:
            _fail(str(error))
        # The others are served, and /readyz says no until this one is put right
    except TranslateError as error:
        _fail(str(error))
    try:
        application = create_app(settings, engine)
    except (ImportError, ValueError) as error:
        _fail(_reason(error))
    connections.Connection.most = connections.most()
    config = uvicorn.Config(
        application,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        http=connections.Connection,
        backlog=connections.ACCEPTED,
        timeout_graceful_shutdown=math.ceil(settings.upload_timeout + settings.timeout),
    )
    _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Told to end by SIGTERM or Ctrl-C, it answers what it has taken on, and the exit code is 0. Ctrl-C again ends it at once."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def _reason(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"TRANSLATE_TRACES needs OpenTelemetry ({error}): install image-translate[otel]."
    return f"TRANSLATE_KEYS: {error}"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        both = host == "::" and socket.has_dualstack_ipv6()
        listener = socket.create_server((host, port), family=family, backlog=connections.ACCEPTED, dualstack_ipv6=both)
    except OSError as error:
        _fail(f"Cannot listen on {host} port {port}: {error.strerror or error}. Choose another with --port or --host.")
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Else answers stay in memory for as long as a client likes that does not read them
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * UNREAD)
    return listener


def _warn_of_misspelt() -> None:
    known = {name for name, _, _ in describe()}
    for name in sorted(set(os.environ) - known):
        if name.startswith(PREFIX):
            typer.echo(f"Warning: {name} is not a setting of the server and has no effect. See translate-serve --help.", err=True)


def _fail(*lines: str) -> Never:
    for line in lines:
        typer.echo(f"Error: {line}", err=True)
    sys.exit(1)
