"""Studies in Optuna's journal: one file on the shared file system, which ``optuna-dashboard`` opens as it is.

Optuna proposes values and keeps the trials. Its journal does not know who works on a trial, so each trial in progress
has a claim with a heartbeat, as cells have: what a dead worker leaves RUNNING is taken up by another one and finished,
under the same number and with the same values. A study thus never has more trials than its budget.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from benchmark.claims import Claim, Claims
from benchmark.tuning.decision import Decision, folder, read_decision, write_decision
from benchmark.tuning.objective import Objective
from benchmark.tuning.proposals import propose, pruner, quiet, readable, sampler
from benchmark.tuning.study import Study
from benchmark.tuning.tally import Tally

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial


class Taken:
    """A trial that is ours to run. Use it as a context manager: the claim ends with it."""

    def __init__(self, study: Study, trial: optuna.Trial, claim: Claim) -> None:
        """``claim`` is held. The trial is given its values, unless it has them."""
        self.values = propose(study, trial)
        self._study = study
        self._trial = trial
        self._claim = claim
        self._reported = {*trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values}

    @property
    def number(self) -> int:
        """Of the trial, from 0."""
        return self._trial.number

    @property
    def objective(self) -> Objective:
        """What it is judged by."""
        return self._study.objective

    def report(self, step: int, value: float) -> None:
        """Tell the objective of a candidate; a trial that went on after an interruption may tell it again."""
        if step not in self._reported:
            self._reported.add(step)
            self._trial.report(value, step)

    def hopeless(self, step: int, value: float) -> bool:
        """Whether a trial whose candidate ``step`` has this objective is worth no more time."""
        self.report(step, value)
        return bool(self._trial.should_prune())

    def complete(self, value: float, cell: str) -> None:
        """The trial ran through."""
        self._close("COMPLETE", value, cell=cell)

    def prune(self, cell: str) -> None:
        """The trial was ended early; its value is that of its last candidate."""
        self._close("PRUNED", None, cell=cell)

    def fail(self, cell: str, reason: str) -> None:
        """The trial's cell has failed."""
        self._close("FAIL", None, cell=cell, failure=reason)

    def _close(self, state: str, value: float | None, **attributes: str) -> None:
        from optuna.trial import TrialState

        study = self._trial.study
        if study.get_trials(deepcopy=False)[self.number].state.is_finished():
            return  # we were taken for dead, and another worker has finished it
        for name, text in attributes.items():
            self._trial.set_user_attr(name, text)
        study.tell(self._trial, value, TrialState[state], skip_if_finished=True)

    def __enter__(self) -> Taken:
        """The trial itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back if it is not finished."""
        self._claim.release()


class Journal:
    """The studies of one results folder."""

    def __init__(self, results: Path, supervisor: int | None = None) -> None:
        """``supervisor`` is the pid of the process that watches over this worker. Nothing is created yet."""
        self._results = results
        self._folder = folder(results)
        self._claims = Claims(self._folder / "claims", supervisor)

    @property
    def path(self) -> Path:
        """The file that ``optuna-dashboard`` takes."""
        return self._folder / "journal.log"

    def take(self, study: Study) -> Taken | None:
        """A trial that nobody works on: one that was left, else a new one if the budget allows; ``None`` otherwise."""
        import optuna

        self._claims_folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._claims_folder / f".{study.name}.lock"):  # nobody counts trials while another adds one
            trials = self._create(study).get_trials(deepcopy=False)
            for trial in trials:
                claim = None if trial.state.is_finished() else self._claim(study, trial.number)
                if claim is not None:
                    opened = self._open(study, trial.number)
                    if opened.get_trials(deepcopy=False)[trial.number].state.is_finished():
                        claim.release()  # finished between our look and our claim
                        continue
                    return Taken(study, optuna.Trial(opened, trial._trial_id), claim)
            if len(trials) >= study.trials:
                return None
            with quiet():
                asked = self._open(study, len(trials)).ask()
            claim = self._claim(study, asked.number)
            assert claim is not None, "a trial that was just made has a claim"
            return Taken(study, asked, claim)

    def tally(self, study: Study) -> Tally:
        """How far a study is; creates nothing."""
        trials = self._trials(study)
        states = Counter(trial.state.name for trial in trials)
        best = _best(trials)
        return Tally(
            complete=states["COMPLETE"],
            pruned=states["PRUNED"],
            failed=states["FAIL"],
            running=states["RUNNING"] + states["WAITING"],
            best=None if best is None else best.value,
            best_values=None if best is None else readable(study, best.params),
        )

    def decide(self, study: Study) -> Decision | None:
        """What the study has chosen, written down if that is not done yet; ``None`` while trials are to be run."""
        known = read_decision(self._results, study)
        if known is not None:
            return known
        tally, trials = self.tally(study), self._trials(study)
        if tally.finished < study.trials or tally.running:
            return None
        best = _best(trials)
        decision = Decision(study.name, tally.complete, tally.pruned, tally.failed)
        if best is not None:
            found = (best.number, best.value, readable(study, best.params), best.user_attrs.get("cell"))
            decision = Decision(study.name, tally.complete, tally.pruned, tally.failed, *found)
        write_decision(self._results, decision)
        return decision

    def forget(self, study: str) -> list[str]:
        """Remove a study and its trials; returns the keys of their cells."""
        import optuna

        with quiet():
            opened = optuna.load_study(study_name=study, storage=self._storage())
            keys = [key for trial in opened.get_trials(deepcopy=False) if (key := trial.user_attrs.get("cell"))]
            optuna.delete_study(study_name=study, storage=opened._storage)
        return keys

    @property
    def _claims_folder(self) -> Path:
        return self._folder / "claims"

    def _storage(self) -> optuna.storages.JournalStorage:
        from benchmark.tuning.storage import open_storage

        return open_storage(self.path)

    def _claim(self, study: Study, number: int) -> Claim | None:
        return self._claims.acquire(f"{study.name}.{number}", f"trial {number} of {study.title}")

    def _trials(self, study: Study) -> Sequence[FrozenTrial]:
        import optuna

        if not self.path.exists():
            return ()
        try:
            opened = optuna.load_study(study_name=study.name, storage=self._storage())
        except KeyError:
            return ()
        return opened.get_trials(deepcopy=False)

    def _create(self, study: Study) -> optuna.Study:
        import optuna

        with quiet():
            created = optuna.create_study(
                storage=self._storage(),
                study_name=study.name,
                direction="maximize",
                load_if_exists=True,
            )
        if not created.user_attrs:
            for name, value in _described(study).items():
                created.set_user_attr(name, value)
        return created

    def _open(self, study: Study, number: int) -> optuna.Study:
        """The study as trial ``number`` sees it: with a sampler of its own, so that no two propose the same."""
        import optuna

        with quiet():
            return optuna.load_study(
                study_name=study.name,
                storage=self._storage(),
                sampler=sampler(study, number),
                pruner=pruner(study),
            )


def _best(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """The best of those that ran through; the earliest of equal ones."""
    complete = [trial for trial in trials if trial.state.name == "COMPLETE" and trial.value is not None]
    return max(complete, key=lambda trial: (trial.value or 0.0, -trial.number), default=None)


def _described(study: Study) -> dict[str, Any]:
    """For people who look at the study with Optuna's own tools."""
    cell = study.like
    fixed = {name: value for name, value in cell.params.items() if name not in study.space}
    return {
        "task": cell.task,
        "task_params": cell.task_params,
        "rho": cell.rho,
        "method": cell.method,
        "params": fixed,
        "protocol": cell.protocol.name,
        "seed": cell.seed,
        "objective": study.objective.name,
        "data": study.data,
    }
