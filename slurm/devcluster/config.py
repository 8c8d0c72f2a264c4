"""What a cluster looks like, and the configuration files that say so to SLURM."""

import json
import os
import socket
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from string import Template

from slurm.devcluster.requirements import DevClusterError

CLUSTER = "devcluster"
ACCOUNT = "devcluster"

PARTITIONS = {
    "debug": "Default=YES PriorityTier=1 PreemptMode=OFF",
    "preemptible": "PriorityTier=1 PreemptMode=REQUEUE",
    "high": "PriorityTier=10 PreemptMode=OFF",
}
"""All over the same nodes; a job in `high` takes the place of one in `preemptible`, which is requeued."""

# A Unix socket's path is cut at 108 bytes; the longest one here adds 13 to the directory.
_LONGEST_DIR = 90


@dataclass(frozen=True)
class Settings:
    """The size of a cluster.

    Attributes:
        nodes: How many slurmd are started; node i is called `dev<i>`, from 1.
        cpus_per_node: CPUs that each node claims to have, whatever the machine has.
        memory_per_node: Memory that each node claims to have, in MB.
        max_array_size: SLURM's MaxArraySize: one more than the largest index in a job array.
    """

    nodes: int = 2
    cpus_per_node: int = 1
    memory_per_node: int = 1024
    max_array_size: int = 11

    def __post_init__(self) -> None:
        """Refuse sizes that SLURM would only refuse in a daemon's log."""
        for name, smallest in (
            ("nodes", 1),
            ("cpus_per_node", 1),
            ("memory_per_node", 64),
            ("max_array_size", 2),
        ):
            value = getattr(self, name)
            if value < smallest:
                raise DevClusterError(f"{name} is {value}; expected at least {smallest}")

    @property
    def node_names(self) -> tuple[str, ...]:
        """The nodes' names, in order."""
        return tuple(f"dev{number}" for number in range(1, self.nodes + 1))

    @classmethod
    def of_machine(
        cls,
        nodes: int = 2,
        cpus_per_node: int | None = None,
        memory_per_node: int | None = None,
        max_array_size: int = 11,
    ) -> "Settings":
        """Fill in what is None with an even share of this machine's CPUs and physical memory."""
        megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        shares = max(nodes, 1)
        return cls(
            nodes,
            max((os.cpu_count() or 1) // shares, 1) if cpus_per_node is None else cpus_per_node,
            megabytes // shares if memory_per_node is None else memory_per_node,
            max_array_size,
        )


@dataclass(frozen=True)
class Layout:
    """Where a cluster keeps its files: all under one directory of its own."""

    dir: Path

    def __post_init__(self) -> None:
        """Refuse a directory in which sockets or SLURM's white-space separated files would break."""
        text = str(self.dir)
        if not self.dir.is_absolute() or len(text) > _LONGEST_DIR or not text.isascii() or set(text) & set(" \t#=,\\$"):
            raise DevClusterError(
                f"--dir is {text!r}; expected an absolute path of at most {_LONGEST_DIR} ASCII characters, "
                "without white space or any of # = , \\ $ (it holds sockets and is named in SLURM's files)"
            )

    @property
    def state(self) -> Path:
        """The file that marks the directory as a cluster's; it holds the settings."""
        return self.dir / "devcluster.json"

    @property
    def slurm_conf(self) -> Path:
        """What SLURM_CONF must be for commands that talk to this cluster."""
        return self.dir / "slurm.conf"

    @property
    def database_socket(self) -> Path:
        """MariaDB's only way in."""
        return self.dir / "mariadb.sock"

    @property
    def munge_socket(self) -> Path:
        """The private munged's, so that a munged of the machine is neither needed nor disturbed."""
        return self.dir / "munge" / "socket"

    def log(self, role: str) -> Path:
        """What a daemon printed."""
        return self.dir / "log" / f"{role}.out"

    def gpu(self, node: str) -> Path:
        """The character device that stands for a node's GPU."""
        return self.dir / "gpus" / node / "gpu0"


def save(settings: Settings, layout: Layout) -> None:
    """Write the settings where `load` finds them."""
    layout.state.write_text(json.dumps(asdict(settings)) + "\n", encoding="utf-8")


def load(layout: Layout) -> Settings | None:
    """Return the settings of the cluster that lives, or lived, in this directory; None if there is none."""
    if not layout.state.is_file():
        return None
    return Settings(**json.loads(layout.state.read_text(encoding="utf-8")))


def render(settings: Settings, layout: Layout, gpus: dict[str, Path], ports: list[int]) -> dict[str, str]:
    """Return the configuration files' texts by name.

    Args:
        settings: The cluster's size.
        layout: The cluster's directory.
        gpus: For each node, the device file of its GPU.
        ports: Free ports: slurmctld's, slurmdbd's, then one for each node.
    """
    host = socket.gethostname().split(".")[0]
    slurmctld_port, slurmdbd_port, *node_ports = ports
    nodes = [
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={settings.cpus_per_node} "
        f"RealMemory={settings.memory_per_node} Gres=gpu:1"
        for name, port in zip(settings.node_names, node_ports, strict=True)
    ]
    fields = {
        "cluster": CLUSTER,
        "dir": layout.dir,
        "host": host,
        "max_array_size": settings.max_array_size,
        "memory_per_cpu": settings.memory_per_node // settings.cpus_per_node,
        "munge_socket": layout.munge_socket,
        "node_lines": "\n".join(nodes),
        "partition_lines": "\n".join(f"PartitionName={name} Nodes=ALL {rest}" for name, rest in PARTITIONS.items()),
        "slurmctld_port": slurmctld_port,
        "slurmdbd_port": slurmdbd_port,
    }
    templates = resources.files("slurm.devcluster") / "templates"
    texts = {
        name: Template((templates / name).read_text(encoding="utf-8")).substitute(fields)
        for name in ("slurm.conf", "slurmdbd.conf")
    }
    gres = [f"NodeName={node} Name=gpu File={gpus[node]}" for node in settings.node_names]
    return texts | {"gres.conf": "\n".join(gres) + "\n"}
