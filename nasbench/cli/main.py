"""The console script `nasbench`: commands, errors and exit codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from nasbench import __version__
from nasbench.cli import (
    bench,
    bench_search,
    check,
    claims,
    compare,
    dashboard,
    devices,
    doctor,
    export,
    ls,
    plot,
    repair,
    report,
    search,
    show,
    study,
    table,
    worker_command,
)
from nasbench.errors import DatasetError, DefinitionError, NasbenchError

app = typer.Typer(
    name="nasbench",
    help="Search for neural networks by the latency that your device really shows, and see if the numbers hold.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("search")(search.search)
app.command("bench")(bench.bench)
app.command("bench-search")(bench_search.bench_search)
app.command("plot", epilog=plot.EPILOG)(plot.plot)
app.command("report")(report.report)
app.command("dashboard")(dashboard.dashboard)
app.command("ls")(ls.ls)
app.command("show")(show.show)
app.command("check")(check.check)
app.command("export")(export.export)
app.command("repair")(repair.repair)
app.command("doctor")(doctor.doctor)
app.command("compare")(compare.compare)
app.command("claims")(claims.claims)
app.add_typer(study.study, name="study")
app.add_typer(table.table, name="table")
app.command("devices")(devices.devices)
app.command("worker-command")(worker_command.worker_command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nasbench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it and end.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line. Exit code 0: done; 1: it failed; 2: what was asked for is wrong; 130: interrupted."""
    try:
        _run()
    except SystemExit as end:
        if connection := sys.modules.get("nasbench.cluster.connection"):
            connection.leave(end.code if isinstance(end.code, int) else int(bool(end.code)))
        raise


def _run() -> None:
    try:
        app()
    except NasbenchError as error:
        if "--debug" in sys.argv:
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(2 if isinstance(error, DefinitionError | DatasetError) else 1)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output is gone, and so is the place to say so
        sys.exit(1)
    except OSError as error:
        if "--debug" in sys.argv:
            raise
        typer.echo(f"error: {error.filename or 'a file'}: {error.strerror or error}", err=True)
        sys.exit(1)
