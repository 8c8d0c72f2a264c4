"""What several of the leaderboard's commands share."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.aggregate import aggregate, write_table
from benchmark.cli.options import existing
from benchmark.selection import RULES
from leaderboard.board import Board, read_board

rule_option = click.option(
    "--rule",
    type=click.Choice([rule.name for rule in RULES.values() if rule.rankable]),
    default="unbiased_val",
    show_default=True,
    help="Selection rule by which candidates are chosen and methods ranked.",
)


def table_of(results: Path) -> Path:
    """Aggregate a results folder; damaged records are warnings. Returns where the table is.

    Raises:
        ConfigError: There is no such folder.
    """
    path = results / "results.parquet"
    collected = aggregate(existing(results))
    write_table(collected, path)
    for problem in collected.damaged:
        click.echo(f"warning: {problem}", err=True)
    return path


def board_of(results: Path, table: Path | None) -> Board:
    """The board of a table, or of a results folder that is aggregated first."""
    return read_board(table or table_of(results))
