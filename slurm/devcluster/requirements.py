"""What the machine must have before a cluster can start: Linux packages and root."""

import os
import shutil
import subprocess

PACKAGES = (
    "munge",
    "slurm-client",
    "slurmctld",
    "slurmd",
    "slurmdbd",
    "mariadb-server-core",
    "mariadb-client-core",
)
"""The Debian packages of the daemons and commands; of MariaDB the core alone, which starts no service."""

_PROGRAMS = (
    *(
        "munged",
        "mariadbd",
        "mariadb-install-db",
        "my_print_defaults",
        "slurmdbd",
        "slurmctld",
        "slurmd",
        "setsid",
    ),
    *("munge", "sacctmgr", "sbatch", "scontrol", "sinfo"),
)
_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"])


class DevClusterError(RuntimeError):
    """The cluster cannot be started, used or stopped; the message says what to do."""


def program(name: str) -> str:
    """Return the absolute path of an installed program; daemons lie outside many users' PATH.

    Raises:
        DevClusterError: it is not installed.
    """
    path = shutil.which(name, path=_SEARCH_PATH)
    if path is None:
        raise DevClusterError(_missing_message([name]))
    return path


def missing(search_path: str = _SEARCH_PATH) -> list[str]:
    """Return the needed programs that are not installed."""
    return [name for name in _PROGRAMS if shutil.which(name, path=search_path) is None]


def unmet(search_path: str = _SEARCH_PATH) -> str | None:
    """Say why a cluster cannot be started by this user on this machine, or None if it can."""
    if absent := missing(search_path):
        return _missing_message(absent)
    if os.geteuid() != 0:
        return (
            f"the devcluster's daemons run as root, and this is user {os.geteuid()}. "
            "Run the same command with sudo; jobs can then be submitted as any user"
        )
    return None


def install() -> None:
    """Install the Debian packages without asking anything.

    Raises:
        DevClusterError: not root, no apt-get, or apt-get failed.
    """
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise DevClusterError(
            "--install needs apt-get (Debian 12 or alike) and root; otherwise install these yourself, under "
            f"your system's names for them: {' '.join(PACKAGES)}"
        )
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
        command = ["apt-get", "-q", *arguments]
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            raise DevClusterError(f"{' '.join(command)} failed with exit code {done.returncode}:\n{tail}")


def _missing_message(absent: list[str]) -> str:
    return (
        f"not installed: {', '.join(absent)}. On Debian 12, as root: "
        "python -m slurm.devcluster start --install, or: "
        f"apt-get update && apt-get install -y --no-install-recommends {' '.join(PACKAGES)}"
    )
