"""The command line. Each command lives in a module of its own that is imported only when it is called."""

from __future__ import annotations

import errno
import importlib
import warnings
from typing import Any

import click

from benchmark.errors import DebiasBenchError

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("benchmark.cli.run:run", "Run what is missing of a sweep on this machine."),
    "plan": ("slurm.cli.plan:plan", "Show what a sweep would run, how long it takes, and the jobs it would send."),
    "submit": ("slurm.cli.submit:submit", "Send what is missing of a sweep to a cluster, and exit."),
    "status": ("slurm.cli.status:status", "Show finished, running, queued, failed, missing and stale cells."),
    "logs": ("slurm.cli.logs:logs", "Print what the job that ran a cell wrote."),
    "cancel": ("slurm.cli.cancel:cancel", "Cancel the jobs of a sweep or a results folder."),
    "retry": ("slurm.cli.retry:retry", "Let failed cells be tried again."),
    "aggregate": ("benchmark.cli.aggregate:aggregate", "Collect all records into one parquet table."),
    "leaderboard": ("leaderboard.cli.leaderboard:leaderboard", "Write the leaderboard of a results folder."),
    "publish": ("leaderboard.cli.publish:publish", "Fill a folder with the page, the table and their documentation."),
    "submit-results": (
        "leaderboard.cli.submit:submit_results",
        "Pack records into one file, for others.",
    ),
    "validate": ("leaderboard.cli.submit:validate_", "Check a file of records that somebody sent."),
    "diff": ("leaderboard.cli.difference:diff", "Say what differs between two leaderboards, and why."),
    "list": ("benchmark.cli.catalogue:list_", "List tasks, methods, data sources, protocols, metrics or rules."),
    "show": ("benchmark.cli.show:show", "Show a task with its counts and samples, a method's card, or a cell."),
    "check-method": ("benchmark.cli.check:check_method", "Check that a method keeps what every method must."),
    "check-task": ("benchmark.cli.check:check_task", "Check that a task keeps what every task must."),
    "data": ("benchmark.cli.data:data", "Fetch, verify and find data sets."),
    "doctor": ("benchmark.cli.doctor:doctor", "Say what is installed, which devices there are, which data are found."),
}
"""Where each command is, and its one-line help, so that ``--help`` imports none of them."""


class LazyGroup(click.Group):
    """Imports a command when it is called; errors that a user can act on are printed without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order in which one meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands with their one-line help."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command for an unknown one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from benchmark.errors import UnknownNameError

            raise UnknownNameError("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run, turning our own errors into messages."""
        try:
            return super().invoke(ctx)
        except DebiasBenchError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:  # a full disk, a folder that may not be written, …
            if error.errno == errno.EPIPE:
                raise  # the reader of our output has gone: click ends quietly
            reason = error.strerror or str(error)
            raise click.ClickException(f"{error.filename}: {reason}" if error.filename else reason) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="debias-bench")
def main() -> None:
    """Which debiasing method can one trust? Biased tasks x methods, one harness, one leaderboard.

    \b
    A first leaderboard, on real digits that come along (about 3 minutes):
      debias-bench run sweeps/demo.yaml --jobs 2
      debias-bench leaderboard
    """  # noqa: D301  (click reads the escape)
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
