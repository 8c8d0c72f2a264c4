"""``debias-bench retry``."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli.options import json_option, print_json, results_option
from benchmark.errors import ConfigError, ResultCorruptError
from benchmark.record import Record
from benchmark.store import Store
from benchmark.tuning.retry import forget_hopeless_studies


@click.command()
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--reason", default="", help='Only cells whose reason contains this, such as "out of memory".')
@results_option
@json_option
def retry(keys: tuple[str, ...], reason: str, results: Path, as_json: bool) -> None:
    """Let failed cells be tried again: all of a results folder, or those whose key starts with a KEY.

    Forgets that they failed and which workers died with them. `run` or `submit` tries them. Trials of a tuning stay
    as they ended; without KEY and --reason a tuning of which no trial ran through begins anew.
    """
    store = Store(results)
    studies = [] if keys or reason else forget_hopeless_studies(store)
    failed = {key for key in store.failures() if not _is_trial(store, key)}
    unmatched = [key for key in keys if not any(known.startswith(key) for known in failed)]
    if unmatched:
        raise ConfigError(f"no failed cell in {results} has a key that starts with {', '.join(unmatched)}")
    chosen = [
        key
        for key in sorted(failed)
        if (not keys or key.startswith(keys)) and _matches(store.read(key) if reason else None, reason)
    ]
    for key in chosen:
        store.forget_failure(key)
    if as_json:
        print_json({"forgotten": chosen, "studies": studies})
        return
    for study in studies:
        click.echo(f"study {study} begins anew")
    if chosen:
        click.echo(f"{len(chosen)} of {len(failed)} failed cells may be tried again: now `run` or `submit` their sweep")
    elif not studies:
        click.echo("no such cell has failed")


def _is_trial(store: Store, key: str) -> bool:
    """Whether it was a trial of a tuning: it is over, and counts, as it ended."""
    try:
        record = store.read(key)
    except ResultCorruptError:
        return False
    return record is not None and record.cell.tuning is not None and record.cell.tuning.number is not None


def _matches(record: Record | None, reason: str) -> bool:
    if not reason:
        return True
    return record is not None and record.failure is not None and reason in record.failure.reason
