"""``debias-bench diff``."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli.options import json_option, print_json
from leaderboard import markdown
from leaderboard.board import read_board
from leaderboard.cli.options import rule_option
from leaderboard.difference import changes_as_json, compare_boards, difference_document, unchanged


@click.command("diff")
@click.argument("old", type=click.Path(path_type=Path, exists=True))
@click.argument("new", type=click.Path(path_type=Path, exists=True))
@rule_option
@json_option
def diff(old: Path, new: Path, rule: str, as_json: bool) -> None:
    """Say which ranks and numbers differ between two leaderboards, and why.

    OLD and NEW are results tables (parquet) or folders that hold one: published folders, results folders.
    """
    boards = [read_board(path / "results.parquet" if path.is_dir() else path) for path in (old, new)]
    changes = compare_boards(boards[0], boards[1], rule)
    if as_json:
        print_json(changes_as_json(changes))
        return
    same = unchanged(boards[0], boards[1], changes)
    click.echo(markdown.render(difference_document(changes, same)), nl=False)
