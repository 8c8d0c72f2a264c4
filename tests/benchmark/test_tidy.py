"""What killed workers have left is removed; what is or may be in use is not."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from benchmark.cell import Cell
from benchmark.claims import Claims
from benchmark.executor import Event
from benchmark.store import Store
from benchmark.tidy import tidy


def test_only_leftovers_are_removed(
    cells_of: Callable[..., list[Cell]], run_cells: Callable[..., list[Event]], tmp_path: Path
) -> None:
    done, pending = cells_of("toy_erm", seeds=2)
    store = Store(tmp_path / "results")
    run_cells([done], store.root)
    old = time.time() - 7200

    def leave(path: Path, *, age: float = old) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (age, age))
        return path

    artifacts = store.artifact_folder(done.key)
    leftovers = [
        leave(store.work_folder(done.key) / "candidates" / "00000.pt"),
        leave(artifacts / ".an_artifact.safetensors.12.ab.tmp"),
        leave(store.record_path(done.key).with_name(".a_record.json.12.ab.tmp")),
        leave(store.root / "claims" / ".a_key.of_a_claim_that_was_never_made"),
    ]
    in_use = [
        leave(store.work_folder(pending.key) / "checkpoint.pt"),
        leave(artifacts / ".another.safetensors.12.ab.tmp", age=time.time()),
        *(path for path in store.root.rglob("*.json")),
        *artifacts.glob("*.safetensors"),
    ]
    claims = Claims(store.root / "claims")
    for cell in (done, pending):
        claim = claims.acquire(cell.key, cell.title)
        assert claim is not None
        path = store.root / "claims" / cell.key
        owner = json.loads(path.read_bytes()) | {"born": 1, "token": "of the dead"}
        claim.release()
        path.write_text(json.dumps(owner))
    leftovers.append(store.root / "claims" / done.key)
    in_use.append(store.root / "claims" / pending.key)  # says that a worker has died with the cell
    living = claims.acquire("f" * 20, "a cell in progress")
    tidy(store)
    assert [path for path in leftovers if path.exists()] == []
    assert [path for path in in_use if not path.exists()] == []
    assert [key for key, _ in claims.living()] == ["f" * 20]
    assert living is not None
    living.release()


def test_an_absent_folder_needs_no_tidying(tmp_path: Path) -> None:
    tidy(Store(tmp_path / "absent"))
    assert not (tmp_path / "absent").exists()
