from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.counts import Groups
from benchmark.errors import ResultCorruptError
from benchmark.metrics import METRICS, combination_accuracies
from leaderboard.references import COLUMNS, lookup, read_references

HEADER = ",".join(COLUMNS)


def write(folder: Path, *lines: str) -> Path:
    path = folder / "published.csv"
    path.write_text("\n".join((HEADER, *lines)) + "\n", encoding="utf-8")
    return path


def test_every_published_number_has_a_source_and_is_a_share() -> None:
    references = read_references()
    assert len(references) == 320
    for reference in references:
        assert reference.source
        assert reference.evidence in ("paper text", "table image", "secondary note")
        if reference.metric not in ("sparsity_percent", "mflops"):
            assert 0 <= reference.value <= 1, reference
            assert reference.std is None or 0 < reference.std < 0.5, reference


def test_published_metrics_are_metrics_of_ours() -> None:
    digits = tuple(range(10))
    groups = Groups(10, ("left colour", "right colour"), (10, 10), (digits, digits))  # as the task multi_color_mnist
    ours = {*METRICS, *combination_accuracies(np.zeros(groups.shape, dtype=np.int64), groups)}
    others = {reference.metric for reference in read_references()} - ours
    assert others == {"sparsity_percent", "mflops", None}


def test_several_sources_for_one_number_are_all_found() -> None:
    found = lookup(read_references(), task="biased_mnist", rho=0.99, method="vanilla", metric="unbiased_accuracy")
    assert {reference.source.split()[0]: reference.value for reference in found} == pytest.approx(
        {"BISE": 0.889, "ReBias": 0.891, "Voronoi": 0.884, "FairKL": 0.908}
    )


def test_a_task_at_its_natural_level_is_found_without_rho() -> None:
    found = lookup(read_references(), task="civil_comments", rho=None, metric="worst_group_accuracy")
    assert {reference.method for reference in found} == {"bise", "bise_ft", "vanilla", "jtt", "lff", "lc", "denetdm"}


def test_deviations_are_in_published_standard_deviations() -> None:
    (published,) = (
        reference
        for reference in lookup(read_references(), task="colored_mnist", rho=0.99, method="denetdm")
        if reference.std
    )
    assert (published.value, published.std) == (pytest.approx(0.8522), pytest.approx(0.0076))
    assert published.deviations(0.8446) == pytest.approx(-1)
    (without,) = lookup(read_references(), task="colored_mnist", rho=0.99, method="george")
    assert without.deviations(0.5) is None


def test_numbers_are_listed_under_the_metric_that_measures_the_same() -> None:
    references = read_references()
    (mean,) = lookup(references, task="multi_color_mnist", rho=0.99, method="debian", metric="alignment_group_mean")
    assert (mean.value, mean.level, mean.published_metric) == (0.72, "L0.99/R0.95", "unbiased_accuracy")
    groups = lookup(references, task="multi_color_mnist", rho=0.99, method="debian")
    assert sum(reference.value for reference in groups if reference is not mean) / 4 == pytest.approx(0.72, abs=5e-4)
    (bar,) = lookup(references, task="bar", rho=0.95, method="denetdm", metric="accuracy")
    assert bar.value == pytest.approx(0.7961)
    one_group = [r for r in lookup(references, task="celeba", rho=None) if r.metric is None]
    assert {r.note for r in one_group} == {"group Blond=0, Male=0"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("bar,0.99,lff,accuracy,many,,a paper,paper text,", r"line 2 is not a published number: .*'many'"),
        ("bar,high,lff,accuracy,50,,a paper,paper text,", r"line 2 is not a published number: .*'high'"),
        ("bar,0.99,lff,accuracy,50,,,paper text,", "line 2 lacks its task, method, source or evidence"),
        ("bar,0.99,lff", "line 2 is not a published number"),
    ],
)
def test_a_line_that_is_not_valid_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ResultCorruptError, match=message):
        read_references(write(tmp_path, line))


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("task,value\nbar,1\n", encoding="utf-8")
    with pytest.raises(ResultCorruptError, match="must have the columns task, rho"):
        read_references(path)
