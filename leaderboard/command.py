"""``debias-bench leaderboard``."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.aggregate import aggregate, write_table
from benchmark.cli.options import json_option, plugin_option, print_json, results_option
from benchmark.files import write_atomic
from benchmark.manifest import expected_cells
from benchmark.selection import RULES
from benchmark.store import Store
from leaderboard.board import Board, read_board
from leaderboard.markdown import render


@click.command()
@results_option
@click.option(
    "--table",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Read this results table instead of aggregating the results folder.",
)
@click.option(
    "--rule",
    type=click.Choice([rule.name for rule in RULES.values() if rule.rankable]),
    default="unbiased_val",
    show_default=True,
    help="Selection rule by which candidates are chosen and methods ranked.",
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Default: RESULTS/LEADERBOARD.md.")
@plugin_option
@json_option
def leaderboard(
    results: Path, table: Path | None, rule: str, output: Path | None, plugins: tuple[Path, ...], as_json: bool
) -> None:
    """Write the leaderboard of a results folder; works at any time, also while cells run."""
    del plugins
    if table is None:
        store, table = Store(results), results / "results.parquet"
        collected = aggregate(store, expected_cells(store))
        write_table(collected.rows, table)
        for problem in collected.damaged:
            click.echo(f"warning: {problem}", err=True)
    board = read_board(table)
    if as_json:
        print_json(_as_json(board, rule))
        return
    path = output or results / "LEADERBOARD.md"
    text = render(board, rule)
    write_atomic(path, text.encode())
    click.echo(text)
    click.echo(f"written to {path}", err=True)


def _as_json(board: Board, rule: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for section in board.sections:
        ranking = section.ranking(rule)
        for entry, best in zip(section.entries, ranking.best, strict=True):
            summary = entry.summary(section.headline, rule)
            found.append(
                {
                    "task": section.task,
                    "task_params": section.task_params,
                    "rho": section.rho,
                    "protocol": section.protocol,
                    "method": entry.method,
                    "variant": entry.variant,
                    "supervision": entry.supervision,
                    "rule": rule,
                    "metric": section.headline,
                    "rank": best,
                    "seeds": summary.n,
                    "mean": summary.mean if summary.n else None,
                    "low": summary.low if summary.n > 1 else None,
                    "high": summary.high if summary.n > 1 else None,
                    "failures": {str(seed): why for seed, why in entry.failures.items()},
                    "missing": entry.missing,
                }
            )
    return found
