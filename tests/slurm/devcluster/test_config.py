"""Configuration files say what the settings say."""

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm.devcluster import DevClusterError, Settings
from slurm.devcluster.config import Layout, load, render, save

DIR = Path("/srv/cluster")


def render_for(settings: Settings) -> dict[str, str]:
    gpus = {name: Path(f"/srv/gpu-of-{name}") for name in settings.node_names}
    return render(settings, Layout(DIR), gpus, list(range(7001, 7003 + settings.nodes)))


def values(text: str, key: str) -> list[str]:
    lines = [line for line in text.splitlines() if line.startswith(f"{key}=")]
    return [line.removeprefix(f"{key}=") for line in lines]


def test_slurm_conf_carries_the_settings() -> None:
    text = render_for(Settings(nodes=2, cpus_per_node=4, memory_per_node=1000, max_array_size=11))["slurm.conf"]
    assert values(text, "MaxArraySize") == ["11"]
    assert values(text, "DefMemPerCPU") == ["250"]
    assert values(text, "SlurmctldPort") == ["7001"]
    assert values(text, "AccountingStoragePort") == ["7002"]
    first, second = values(text, "NodeName")
    assert first.startswith("dev1 ")
    assert first.endswith(" NodeAddr=127.0.0.1 Port=7003 CPUs=4 RealMemory=1000 Gres=gpu:1")
    assert second.startswith("dev2 ")
    assert " Port=7004 " in second


def test_one_partition_is_the_default_and_only_preemptible_jobs_are_requeued_for_others() -> None:
    lines = values(render_for(Settings())["slurm.conf"], "PartitionName")
    assert [line.split()[0] for line in lines if "Default=YES" in line] == ["debug"]
    assert [line.split()[0] for line in lines if "PreemptMode=REQUEUE" in line] == ["preemptible"]


def test_each_node_has_its_own_gpu_device() -> None:
    assert render_for(Settings(nodes=2))["gres.conf"].splitlines() == [
        "NodeName=dev1 Name=gpu File=/srv/gpu-of-dev1",
        "NodeName=dev2 Name=gpu File=/srv/gpu-of-dev2",
    ]


def test_slurmctld_and_slurmdbd_agree_on_port_and_munge() -> None:
    files = render_for(Settings())
    assert values(files["slurmdbd.conf"], "DbdPort") == values(files["slurm.conf"], "AccountingStoragePort")
    (socket,) = values(files["slurm.conf"], "AccountingStoragePass")
    assert values(files["slurmdbd.conf"], "AuthInfo") == [f"socket={socket}"]
    assert values(files["slurm.conf"], "AuthInfo")[0].split(",")[0] == f"socket={socket}"


@given(st.integers(1, 40), st.integers(1, 256), st.integers(64, 10**6), st.integers(2, 4_000_001))
def test_every_size_renders_whole(nodes: int, cpus: int, memory: int, max_array_size: int) -> None:
    settings = Settings(nodes, cpus, memory, max_array_size)
    files = render_for(settings)
    lines = values(files["slurm.conf"], "NodeName")
    assert [line.split()[0] for line in lines] == list(settings.node_names)
    assert len({field for line in lines for field in line.split() if field.startswith("Port=")}) == nodes
    assert cpus * int(values(files["slurm.conf"], "DefMemPerCPU")[0]) <= memory
    assert not any("$" in text for text in files.values())


@pytest.mark.parametrize(
    ("name", "value"), [("nodes", 0), ("cpus_per_node", 0), ("memory_per_node", 63), ("max_array_size", 1)]
)
def test_a_size_that_no_cluster_has_is_refused(name: str, value: int) -> None:
    with pytest.raises(DevClusterError, match=rf"{name} is {value}; expected at least {value + 1}"):
        Settings(**{name: value})


def test_sizes_not_given_are_shares_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 9)
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**20}.__getitem__)
    assert Settings.of_machine(nodes=4) == Settings(4, cpus_per_node=2, memory_per_node=1024)
    assert Settings.of_machine(nodes=20, memory_per_node=100) == Settings(20, 1, 100)


@pytest.mark.parametrize("bad", ["relative", "/with space", "/with#hash", "/" + "long" * 23, "/umläut"])
def test_a_directory_that_would_break_slurm_is_refused(bad: str) -> None:
    with pytest.raises(DevClusterError, match="expected an absolute path"):
        Layout(Path(bad))


@given(st.text(string.ascii_letters + string.digits + "-_./", max_size=60))
def test_every_plain_path_is_taken(text: str) -> None:
    assert Layout(Path("/" + text)).slurm_conf.name == "slurm.conf"


def test_settings_survive_in_the_directory(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert load(layout) is None
    save(Settings(3, 2, 500, 7), layout)
    assert load(layout) == Settings(3, 2, 500, 7)
