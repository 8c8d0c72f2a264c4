"""``debias-bench publish``."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli.options import plugin_option, results_option
from leaderboard.cli.options import rule_option, table_of
from leaderboard.hub import push as push_to_hub
from leaderboard.hub import repository_of
from leaderboard.publish import publish as fill


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@results_option
@click.option(
    "--table",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Publish this results table instead of aggregating the results folder.",
)
@rule_option
@click.option("--title", default="debias-bench leaderboard", show_default=True, help="Of the page.")
@click.option("--push", metavar="hf:OWNER/NAME", help="Upload to this data set repository of the Hugging Face Hub.")
@plugin_option
def publish(
    folder: Path,
    results: Path,
    table: Path | None,
    rule: str,
    title: str,
    push: str | None,
    plugins: tuple[Path, ...],
) -> None:
    """Fill FOLDER with a web page, the results table, the leaderboard as text, and their documentation.

    The folder works from a file system and as it is on GitHub Pages. Publishing the same results again changes nothing.
    """
    del plugins
    if push is not None:
        repository_of(push)  # refuses other targets before anything is written
    fill(table or table_of(results), folder, rule, title)
    click.echo(f"published to {folder}; open {folder / 'index.html'}")
    if push is not None:
        click.echo(f"pushed to {push_to_hub(folder, push)}")
