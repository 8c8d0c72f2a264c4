"""The command line ends with a message and an exit code, never with a traceback."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from slurm.devcluster import requirements
from slurm.devcluster.__main__ import main


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, words)


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)


@pytest.mark.usefixtures("as_root")
def test_status_without_a_cluster_exits_with_three(tmp_path: Path) -> None:
    result = invoke("status", "--dir", str(tmp_path / "none"))
    assert (result.exit_code, result.output) == (3, f"There is no cluster in {tmp_path / 'none'}.\n")


@pytest.mark.usefixtures("as_root")
def test_stop_without_a_cluster_is_no_error(tmp_path: Path) -> None:
    result = invoke("stop", "--dir", str(tmp_path / "none"))
    assert (result.exit_code, result.output) == (0, f"There is no cluster in {tmp_path / 'none'}.\n")


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("verb", ["start", "stop"])
def test_a_directory_with_other_things_survives(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "unmet", lambda: None)
    (tmp_path / "thesis.tex").touch()
    result = invoke(verb, "--dir", str(tmp_path))
    assert result.exit_code == 1
    assert "is left alone" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("verb", ["status", "stop"])
def test_other_users_are_told_to_use_sudo(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    result = invoke(verb, "--dir", str(tmp_path))
    assert result.exit_code == 1
    assert "use sudo" in result.output


def test_start_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "unmet", lambda: "not installed: slurmd")
    result = invoke("start", "--dir", str(tmp_path / "c"))
    assert (result.exit_code, result.output) == (1, "Error: not installed: slurmd\n")


def test_start_refuses_a_cluster_of_no_nodes(tmp_path: Path) -> None:
    result = invoke("start", "--nodes", "0", "--dir", str(tmp_path / "c"))
    assert result.exit_code == 1
    assert "nodes is 0; expected at least 1" in result.output
