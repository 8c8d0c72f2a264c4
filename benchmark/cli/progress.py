"""Progress of a run: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

import click
import msgspec

from benchmark.executor import Event


def report(events: Iterable[Event], total: int, *, as_json: bool = False) -> None:
    """Print what happens to cells: for people with the time that is left, or as one line of JSON for each event."""
    if as_json:
        for event in events:
            cell = {"key": event.cell.key, "title": event.cell.title}
            line = {"event": event.kind, **cell, "seconds": event.seconds, "detail": event.detail}
            click.echo(msgspec.json.encode(line).decode())
    elif sys.stdout.isatty():
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
