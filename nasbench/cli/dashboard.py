"""`nasbench dashboard`: stored searches in optuna-dashboard, on this machine alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench.errors import DefinitionError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

HOST = "127.0.0.1"


def dashboard(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of searches, such as results/first.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 8080,
) -> None:
    """Show searches in optuna-dashboard: a study each, with every trial. Ctrl-C ends it.

    It is a copy in memory, as of now: what is changed or written there is lost, and the run stays as it is. It needs
    the package optuna-dashboard: pip install 'nasbench[dashboard]'.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise DefinitionError(
            "the dashboard needs the package optuna-dashboard: pip install 'nasbench[dashboard]'"
        ) from error
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    from nasbench.search.optuna_study import build_storage
    from nasbench.store.parquet import read_run

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    class Quiet(WSGIRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing of each request."""

    shown = wsgi(build_storage([read_run(run) for run in runs]))
    try:
        server = make_server(HOST, port, shown, Server, Quiet)
    except OSError as error:
        raise DefinitionError(
            f"--port {port} on {HOST} cannot be used: {error.strerror or error}; choose another, or 0 for a free one"
        ) from error
    with server:
        server.set_app(guard_host(shown, server.server_port))
        typer.echo(f"http://{HOST}:{server.server_port}/dashboard/")
        typer.echo("Ctrl-C ends it.", err=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("\nended", err=True)


def guard_host(app: WSGIApplication, port: int) -> WSGIApplication:
    """Answer 403 to what is not asked of this machine by its own name.

    A page elsewhere can have its name point to 127.0.0.1 (DNS rebinding), and would read and change the studies then;
    the browser still sends that name as the host.
    """
    allowed = {f"{name}:{port}" for name in (HOST, "localhost")}
    if port == 80:  # which a browser leaves out
        allowed |= {HOST, "localhost"}

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("HTTP_HOST", "").lower() in allowed:
            return app(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"ask for http://{HOST}:{port}/dashboard/\n".encode()]

    return guarded
