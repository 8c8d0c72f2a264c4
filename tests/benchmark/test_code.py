"""The version of the code names a commit, and every way in which files differ from it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark import code
from benchmark.code import code_version, fingerprint


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small git checkout that stands for this one."""
    for package in code.PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(f'"""{package}."""\n')
    (tmp_path / "README.md").write_text("read me")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "first")
    monkeypatch.setattr(code, "code_root", lambda: tmp_path)
    code_version.cache_clear()
    yield tmp_path
    code_version.cache_clear()


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True).stdout


def version_of(_: Path) -> str:
    code_version.cache_clear()
    return code_version()


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "--short=12", "HEAD").strip()
    assert version_of(checkout).endswith(f"+g{commit}")


def test_two_changes_are_two_versions_and_undone_they_are_none(checkout: Path) -> None:
    clean, file = version_of(checkout), checkout / "methods" / "__init__.py"
    before = file.read_text()
    file.write_text("ONE = 1\n")
    first = version_of(checkout)
    file.write_text("ONE = 2\n")
    second = version_of(checkout)
    file.write_text(before)
    assert len({clean, first, second}) == 3
    assert first.startswith(f"{clean}.changed.")
    assert version_of(checkout) == clean


def test_a_new_file_is_a_change(checkout: Path) -> None:
    (checkout / "tasks" / "mine.py").write_text("")
    assert ".changed." in version_of(checkout)


def test_files_outside_of_the_packages_are_none(checkout: Path) -> None:
    (checkout / "README.md").write_text("changed")
    assert ".changed" not in version_of(checkout)


def test_a_copy_says_what_it_is_a_copy_of(checkout: Path) -> None:
    (checkout / code.VERSION_FILE).write_text("1.2.3+gabc\n")
    assert version_of(checkout) == "1.2.3+gabc"


def test_the_fingerprint_knows_names_and_contents_and_nothing_of_bytecode(checkout: Path) -> None:
    before = fingerprint(checkout)
    cache = checkout / "tasks" / "__pycache__"
    cache.mkdir()
    (cache / "x.pyc").write_bytes(b"")
    assert fingerprint(checkout) == before
    (checkout / "tasks" / "__init__.py").rename(checkout / "tasks" / "other.py")
    assert fingerprint(checkout) != before
