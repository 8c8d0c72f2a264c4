"""Progress of a run: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

import click

from benchmark.executor import Event


def report(events: Iterable[Event], total: int) -> None:
    """Print what happens to cells, with the time that is left."""
    if sys.stdout.isatty():
        _with_bar(events, total)
    else:
        _with_lines(events, total)


def _line(event: Event) -> str:
    if event.kind == "died":
        return f"worker died ({event.detail}) with {event.cell.title}; trying again"
    return f"{event.kind:<6} {event.cell.title}  {event.seconds:.1f} s"


def _with_lines(events: Iterable[Event], total: int) -> None:
    began, count = time.monotonic(), 0
    for event in events:
        if event.kind == "died":
            click.echo(_line(event))
            continue
        count += 1
        left = (time.monotonic() - began) / count * (total - count)
        click.echo(f"[{count}/{total}] {_line(event)}, about {left:.0f} s left")


def _with_bar(events: Iterable[Event], total: int) -> None:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=total)
        for event in events:
            if event.kind in ("died", "failed"):
                progress.console.print(_line(event), highlight=False, markup=False)
            if event.kind != "died":
                progress.update(bar, advance=1, description=event.cell.title)
