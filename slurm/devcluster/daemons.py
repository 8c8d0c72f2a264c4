"""Starting the daemons in their order, each when the ones it needs are ready, and asking them things."""

import os
import subprocess

from slurm.devcluster.config import ACCOUNT, CLUSTER, Layout, Settings
from slurm.devcluster.processes import spawn, wait_until
from slurm.devcluster.requirements import DevClusterError, program


def roles(settings: Settings) -> tuple[str, ...]:
    """Return the names of all daemons that a cluster of this size has."""
    return (
        "munged",
        "mariadbd",
        "slurmdbd",
        "slurmctld",
        *(f"slurmd-{name}" for name in settings.node_names),
    )


def bring_up(settings: Settings, layout: Layout) -> None:
    """Start every daemon; return when all nodes are idle.

    Raises:
        DevClusterError: one does not come up; with the end of its log.
    """
    _start_munged(layout)
    _start_mariadb(layout)
    _start_slurmdbd(layout)
    spawn("slurmctld", [program("slurmctld"), "-D", "-f", str(layout.slurm_conf)], layout)
    for node in settings.node_names:
        spawn(f"slurmd-{node}", [program("slurmd"), "-D", "-N", node, "-f", str(layout.slurm_conf)], layout)
    wait_until(lambda: bool(node_states(layout)), "slurmctld", layout)
    for node in settings.node_names:

        def idle(expected: str = f"{node} idle") -> bool:
            return expected in node_states(layout)

        wait_until(idle, f"slurmd-{node}", layout)


def node_states(layout: Layout) -> tuple[str, ...]:
    """Ask slurmctld for one "name state" for each node; empty when it does not answer."""
    answer = _client(layout, "sinfo", "--noheader", "--Node", "--partition=debug", "--format=%N %t")
    return tuple(answer.stdout.splitlines()) if answer.returncode == 0 else ()


def _start_munged(layout: Layout) -> None:
    munge = layout.dir / "munge"
    files = [f"--{name}-file={munge / name}" for name in ("key", "pid", "log", "seed")]
    spawn("munged", [program("munged"), "--foreground", f"--socket={layout.munge_socket}", *files], layout)
    encode = [program("munge"), "--no-input", f"--socket={layout.munge_socket}"]
    wait_until(lambda: _run(encode).returncode == 0, "munged", layout)


def _start_mariadb(layout: Layout) -> None:
    """Make and start a database that only root can reach, through its socket."""
    common = [
        "--no-defaults",
        "--user=root",
        f"--datadir={layout.dir / 'database'}",
        # A mariadbd that starts deletes others' temporary tables from the directory that it shares with them.
        f"--tmpdir={layout.dir / 'tmp'}",
        # Little is stored, and what a crash loses does not matter: the next start makes a new database.
        "--innodb-log-file-size=4M",
    ]
    install = [program("mariadb-install-db"), *common, "--skip-name-resolve", "--skip-test-db"]
    made = _run([*install, "--auth-root-authentication-method=socket"])
    if made.returncode != 0:
        raise DevClusterError(f"mariadb-install-db failed:\n{(made.stdout + made.stderr)[-2000:]}")
    options = [
        f"--socket={layout.database_socket}",
        "--skip-networking",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-buffer-pool-size=32M",
    ]
    spawn("mariadbd", [program("mariadbd"), *common, *options], layout)
    wait_until(layout.database_socket.exists, "mariadbd", layout)


def _start_slurmdbd(layout: Layout) -> None:
    # slurmdbd has no option for the socket's place; MariaDB's client library takes it from here.
    spawn("slurmdbd", [program("slurmdbd"), "-D"], layout, {"MYSQL_UNIX_PORT": str(layout.database_socket)})
    listing = ("--noheader", "list", "cluster")
    wait_until(lambda: _client(layout, "sacctmgr", *listing).returncode == 0, "slurmdbd", layout)
    users = ",".join(sorted({"root", os.environ.get("SUDO_USER", "root")}))
    for words in (
        ("cluster", CLUSTER),
        ("account", ACCOUNT, f"Cluster={CLUSTER}"),
        ("user", users, f"Account={ACCOUNT}", f"DefaultAccount={ACCOUNT}"),
    ):
        added = _client(layout, "sacctmgr", "--immediate", "--quiet", "add", *words)
        if added.returncode != 0:
            raise DevClusterError(f"sacctmgr add {' '.join(words)} failed: {added.stdout}{added.stderr}")


def _client(layout: Layout, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return _run([program(name), *arguments], {"SLURM_CONF": str(layout.slurm_conf)})


def _run(command: list[str], extra: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | (extra or {})
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
