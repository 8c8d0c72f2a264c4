"""A machine that lacks something is told what to do."""

from pathlib import Path

import pytest

from slurm.devcluster import DevClusterError, requirements


def test_missing_programs_are_named_with_the_command_that_installs_them(tmp_path: Path) -> None:
    problem = requirements.unmet(str(tmp_path))
    assert problem is not None
    assert problem.startswith("not installed: munged, mariadbd, ")
    assert "start --install" in problem
    assert problem.endswith("apt-get install -y --no-install-recommends " + " ".join(requirements.PACKAGES))


def test_only_what_is_missing_is_named(tmp_path: Path) -> None:
    for name in requirements.missing(str(tmp_path)):
        if name != "slurmdbd":
            (tmp_path / name).touch(0o755)
    assert requirements.missing(str(tmp_path)) == ["slurmdbd"]


def test_a_user_who_is_not_root_is_told_to_use_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in requirements.missing(str(tmp_path)):
        (tmp_path / name).touch(0o755)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert requirements.unmet(str(tmp_path)) is None
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    problem = requirements.unmet(str(tmp_path))
    assert problem is not None
    assert "this is user 1000" in problem
    assert "sudo" in problem


def test_installing_without_apt_names_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DevClusterError, match=r"needs apt-get .* slurmctld"):
        requirements.install()


def test_a_failed_installation_shows_what_apt_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\necho E: no network\nexit 100\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(DevClusterError, match=r"apt-get -q update failed with exit code 100:\nE: no network"):
        requirements.install()
