"""Take the figures of docs/performance.md: ``make bench``, ``make bench FIGURE=name``, ``make bench-gpu``.

Prints a table with the change against the last committed results, and writes the new ones to ``results.json`` beside
this file and into docs/performance.md.
"""

from __future__ import annotations

import argparse
import importlib
import sys

from tests.performance.measure import FIGURES, NotHereError, committed, document, kept_table, table, take, write_results

MODULES = ("prompt", "cells", "steps", "bounds", "transcriptions", "shapes", "growth", "published")


def register() -> None:
    """Import the modules that define figures."""
    for name in MODULES:
        importlib.import_module(f"tests.performance.{name}")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.performance", description=__doc__.splitlines()[0])
    parser.add_argument("figures", nargs="*", help="default: all")
    parser.add_argument("--list", action="store_true", help="only say what there is")
    parser.add_argument("--dry", action="store_true", help="do not write results.json")
    given = parser.parse_args()
    register()
    unknown = [name for name in given.figures if name not in FIGURES]
    if unknown:
        parser.error(f"no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    if given.list:
        sys.stdout.write("".join(f"{one.name:24} {one.what}\n" for one in FIGURES.values()))
        return
    results = {}
    for name in given.figures or FIGURES:
        sys.stderr.write(f"{name} … ")
        sys.stderr.flush()
        try:
            results[name] = take(FIGURES[name])
        except NotHereError as reason:
            sys.stderr.write(f"not here: {reason}\n")
            continue
        sys.stderr.write(f"{results[name].value:g} {results[name].unit} ({results[name].seconds:.0f} s)\n")
        if not given.dry:
            write_results({name: results[name]})
    if results and not given.dry:
        document()
    sys.stdout.write(table(results, committed()) + "\n")


__all__ = ["kept_table", "main", "register"]

if __name__ == "__main__":
    main()
