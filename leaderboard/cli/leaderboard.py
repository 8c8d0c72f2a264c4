"""``debias-bench leaderboard``."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli.options import json_option, json_text, plugin_option, results_option
from benchmark.errors import ConfigError
from benchmark.files import write_atomic
from leaderboard import csv_tables, latex, markdown
from leaderboard.board import Board
from leaderboard.cli.options import board_of, rule_option
from leaderboard.content import document
from leaderboard.figures import write_figures
from leaderboard.references import read_references
from leaderboard.standings import standings


@click.command()
@results_option
@click.option(
    "--table",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Read this results table instead of aggregating the results folder.",
)
@rule_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Default: RESULTS/LEADERBOARD.md; with --json none.",
)
@click.option("--latex", "as_latex", is_flag=True, help="Also write the tables as LaTeX, beside the output.")
@click.option("--csv", "as_csv", is_flag=True, help="Also write the tables as CSV, in a folder beside the output.")
@click.option(
    "--figures", "as_figures", is_flag=True, help="Also draw figures, SVG and PNG, in a folder beside the output."
)
@plugin_option
@json_option
def leaderboard(
    results: Path,
    table: Path | None,
    rule: str,
    output: Path | None,
    as_latex: bool,
    as_csv: bool,
    as_figures: bool,
    plugins: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Write the leaderboard of a results folder; works at any time, also while cells run."""
    del plugins
    if as_json and (as_latex or as_csv or as_figures):
        raise ConfigError("--json goes without --latex, --csv and --figures; ask for these in a call of their own")
    board = board_of(results, table)
    if as_json:
        ranks = json_text(_as_json(board, rule))
        click.echo(ranks)
        if output is not None:
            write_atomic(output, f"{ranks}\n".encode())
            click.echo(f"written to {output}", err=True)
        return
    path = output or results / "LEADERBOARD.md"
    blocks = document(board, rule, read_references())
    text = markdown.render(blocks)
    files = {path: text}
    if as_latex:
        files[path.with_suffix(".tex")] = latex.render(blocks)
    if as_csv:
        folder = path.with_name(f"{path.stem}_csv")
        files |= {folder / name: content for name, content in csv_tables.render(blocks).items()}
    for target, content in files.items():
        write_atomic(target, content.encode())
    drawn = write_figures(board, path.with_name(f"{path.stem}_figures"), rule) if as_figures else []
    click.echo(text)
    for target in (*files, *drawn):
        click.echo(f"written to {target}", err=True)


def _as_json(board: Board, rule: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for section in board.sections:
        used = section.usable_rule(rule) or rule
        for standing in standings(section, used):
            entry, summary = standing.entry, standing.summary
            found.append(
                {
                    "task": section.task,
                    "task_params": section.task_params,
                    "rho": section.rho,
                    "protocol": section.protocol,
                    "precision": section.precision,
                    "method": entry.method,
                    "variant": entry.variant,
                    "version": entry.version,
                    "supervision": entry.supervision,
                    "stale": entry.stale,
                    "rule": used,
                    "metric": section.headline,
                    "rank": standing.best,
                    "worst_rank": standing.worst,
                    "seeds": summary.n,
                    "mean": summary.mean if summary.n else None,
                    "std": summary.std if summary.n > 1 else None,
                    "low": summary.low if summary.n > 1 else None,
                    "high": summary.high if summary.n > 1 else None,
                    "failures": {str(seed): why for seed, why in entry.failures.items()},
                    "missing": entry.missing,
                }
            )
    return found
