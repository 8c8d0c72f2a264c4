"""``debias-bench submit-results`` and ``debias-bench validate``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click

from benchmark.cli.options import data_option, json_option, plugin_option, print_json, results_option
from benchmark.errors import ConfigError, ResultCorruptError, UnknownNameError
from benchmark.manifest import read_manifests
from benchmark.record import Record
from benchmark.store import Store, read_record
from leaderboard.document import printable
from leaderboard.group_sizes import BuiltSizes, TableSizes
from leaderboard.submission import Submission, pack, read_submission
from leaderboard.validation import Problem, validate

SHOWN = 50
"""Problems that are printed; the rest is counted."""


@click.command("submit-results")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("submission.zip"),
    show_default=True,
    help="Where to write.",
)
@click.option("--sweep", "sweeps", multiple=True, help="Only cells of this sweep (its name); may be repeated.")
@click.option("--method", "methods", multiple=True, help="Only this method; may be repeated.")
@click.option("--task", "tasks", multiple=True, help="Only this task; may be repeated.")
@results_option
@data_option
@plugin_option
def submit_results(
    output: Path,
    sweeps: tuple[str, ...],
    methods: tuple[str, ...],
    tasks: tuple[str, ...],
    results: Path,
    data_root: Path,
    plugins: tuple[Path, ...],
) -> None:
    """Pack records of a results folder into one file for others, and check it as `validate` does.

    Failed cells and the trials of tunings are packed too. Host names and tracebacks are left out.
    """
    del plugins
    store = Store(results)
    wanted = _wanted(store, sweeps) if sweeps else None
    records = [
        record
        for record in _with_notes(_records(store), store)
        if (wanted is None or wanted(record))
        and (not methods or record.cell.method in methods)
        and (not tasks or record.cell.task in tasks)
    ]
    if not records:
        raise ConfigError(f"no records in {results} match; `debias-bench status --results {results}` lists its cells")
    click.echo(f"{output}: {pack(records, output)} records")
    _report(validate(read_submission(output), [BuiltSizes(data_root)]))


@click.command("validate")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--against",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="A trusted results table: says how large test groups are where data sets are not here, and which seeds there "
    "are; may be repeated.",
)
@click.option(
    "--add-to",
    type=click.Path(path_type=Path, file_okay=False),
    help="If nothing is wrong, add the records to this results folder; those that it has already are kept.",
)
@data_option
@plugin_option
@json_option
def validate_(
    file: Path,
    against: tuple[Path, ...],
    add_to: Path | None,
    data_root: Path,
    plugins: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Check a submission made by `submit-results`; exits with 1 if anything is wrong.

    Keys, versions, parameters, budgets, seeds and supervision are checked against the installed code, counts against
    the test splits of the data under --data or, where there are none, against the tables given by --against.
    """
    del plugins
    try:
        submission = read_submission(file)
    except ResultCorruptError as error:
        submission = Submission(problems=[str(error)])
    tables = [TableSizes(table) for table in against]
    problems = validate(submission, [BuiltSizes(data_root), *tables], tables)
    refused = any(problem.severity == "error" for problem in problems)
    if as_json:
        print_json({"records": len(submission.records), "accepted": not refused, "problems": problems})
        if refused:
            sys.exit(1)
    else:
        _report(problems, len(submission.records))
    if add_to is not None:
        click.echo(f"{_add(submission.records, Store(add_to))} records added to {add_to}", err=True)


def _report(problems: Sequence[Problem], records: int | None = None) -> None:
    for problem in problems[:SHOWN]:
        click.echo(printable(str(problem), 1000))
    if len(problems) > SHOWN:
        click.echo(f"… and {len(problems) - SHOWN} more")
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    verdict = "refused" if errors else "accepted"
    of = "" if records is None else f"{records} records, "
    click.echo(f"{verdict}: {of}{errors} errors, {warnings} warnings")
    if errors:
        sys.exit(1)


def _add(records: Sequence[Record], store: Store) -> int:
    known = store.finished()
    new = [record for record in records if record.key not in known]
    for record in new:
        store.write(record)
    return len(new)


def _records(store: Store) -> Iterator[Record]:
    """All readable records, a finished one rather than the failure before it."""
    for _, path in store.record_files():
        try:
            yield read_record(Path(path))
        except ResultCorruptError as error:
            click.echo(f"warning: {error}", err=True)


def _with_notes(records: Iterable[Record], store: Store) -> Iterator[Record]:
    """Records that say what their parameters rest on by now: they may be older than the tuning that chose them."""
    notes = {cell.key: cell.tuning for manifest in read_manifests(store) for cell in manifest.tuned(store)}
    for record in records:
        note = notes.get(record.key, record.cell.tuning)
        yield replace(record, cell=replace(record.cell, tuning=note))


def _wanted(store: Store, names: Sequence[str]) -> Callable[[Record], bool]:
    """Whether a record belongs to some sweeps: their cells, and all trials of their tunings."""
    manifests = {manifest.name: manifest for manifest in read_manifests(store)}
    for name in names:
        if name not in manifests:
            raise UnknownNameError("sweep", name, manifests)
    tuned = [cell for name in names for cell in manifests[name].tuned(store)]
    keys = {cell.key for cell in (*tuned, *(cell for name in names for cell in manifests[name].cells))}
    studies = {cell.tuning.study for cell in tuned if cell.tuning is not None}

    def wanted(record: Record) -> bool:
        note = record.cell.tuning
        return record.key in keys or (note is not None and note.purpose == "trial" and note.study in studies)

    return wanted
