"""The commands that run a cell again."""

from __future__ import annotations

import json
from typing import Any

from leaderboard.board import Entry, Section


def reproduce(section: Section, entry: Entry) -> tuple[str, str]:
    """Shell commands that run one cell, as what stands before and after its seed.

    The sweep is written as one line of JSON, which YAML contains, so that nothing in a name or a parameter can end
    the document or start a command of its own.
    """
    task: dict[str, Any] = {"name": section.task, "params": section.task_params}
    if section.rho is not None:
        task["rho"] = [section.rho]
    sweep = {
        "tasks": [task],
        "methods": [{"name": entry.method, "params": entry.params}],
        "protocol": section.protocol,
        "precision": section.precision,
    }
    document = json.dumps(sweep).removesuffix("}") + ', "seeds": ['
    return f"cat > cell.yaml <<'END'\n{document}", "]}\nEND\ndebias-bench run cell.yaml --data DATA"
