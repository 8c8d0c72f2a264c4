"""The directory of a cluster is made with care, and only such a directory is removed."""

import socket
from pathlib import Path

import pytest

from slurm.devcluster import DevClusterError, Settings, files
from slurm.devcluster.config import Layout, load


def forbid_device_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.mknod", refuse)


def test_create_writes_what_load_finds_and_keeps_secrets_secret(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "c")
    files.create(Settings(nodes=2), layout)
    assert load(layout) == Settings(nodes=2)
    modes = {name: (layout.dir / name).stat().st_mode & 0o777 for name in ("slurmdbd.conf", "munge/key", "database")}
    assert modes == {"slurmdbd.conf": 0o600, "munge/key": 0o600, "database": 0o700}
    assert layout.slurm_conf.stat().st_mode & 0o777 == 0o644
    assert (layout.dir / "munge" / "key").stat().st_size == 128


def test_every_node_has_a_character_device_of_its_own(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "c")
    files.create(Settings(nodes=2), layout)
    devices = [Path(line.split("File=")[1]) for line in (layout.dir / "gres.conf").read_text().splitlines()]
    assert len(set(devices)) == 2
    assert all(device.is_char_device() for device in devices)


def test_without_the_right_to_make_devices_harmless_ones_are_borrowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_device_files(monkeypatch)
    files.create(Settings(nodes=2), Layout(tmp_path / "c"))
    gres = (tmp_path / "c" / "gres.conf").read_text()
    assert [line.split("File=")[1] for line in gres.splitlines()] == ["/dev/null", "/dev/zero"]
    with pytest.raises(DevClusterError, match=r"node 6 has no device file.*at most 5 nodes"):
        files.create(Settings(nodes=6), Layout(tmp_path / "d"))


def test_ports_are_free_and_differ(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "c")
    files.create(Settings(nodes=20), layout)
    lines = layout.slurm_conf.read_text().splitlines()
    ports = [int(field[5:]) for line in lines for field in line.split() if field.startswith("Port=")]
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("", port))


def test_a_directory_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(DevClusterError, match=r"is not a devcluster's .* is left alone; name another --dir"):
        files.refuse_foreign(Layout(tmp_path))


def test_an_empty_directory_and_a_missing_one_may_be_used(tmp_path: Path) -> None:
    files.refuse_foreign(Layout(tmp_path))
    files.refuse_foreign(Layout(tmp_path / "missing"))
