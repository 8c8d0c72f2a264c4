"""The processes of a cluster: started detached, found by a mark in their environment, ended for certain.

Files with process numbers go stale when a daemon is killed, and a number may belong to a stranger by then. A
mark in the environment that the kernel keeps of each process (``/proc/<pid>/environ``) cannot go stale.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from slurm.devcluster.config import Layout
from slurm.devcluster.requirements import DevClusterError, program

_MARK = "SLURM_DEVCLUSTER_DIR"
_ROLE = "SLURM_DEVCLUSTER_ROLE"
JOB = "job"
"""The role of a process that belongs to a job."""

_GRACE = 3.0
_LONGEST_STOP = 30.0
_LONGEST_START = 60.0
_LONGEST_EXEC = 2.0
_ENV_START = 47
"""Where the address of the environment stands in /proc/<pid>/stat, after the name (field 50 of proc(5))."""


def spawn(role: str, command: list[str], layout: Layout, extra: Mapping[str, str] | None = None) -> None:
    """Start a daemon in a session of its own, under the process that adopts orphans."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "SLURM_CONF": str(layout.slurm_conf),
        _MARK: str(layout.dir),
        _ROLE: role,
        **(extra or {}),
    }
    with layout.log(role).open("ab") as log:
        subprocess.run(
            [program("setsid"), "--fork", *command],
            env=environment,
            cwd=layout.dir,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=True,
        )


def owned(layout: Layout) -> dict[int, str]:
    """Return the role of each living process of this cluster by its number: a daemon's role, or `JOB`."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = _environment(entry)
            step = (entry / "cmdline").read_bytes().startswith(b"slurmstepd")
        except OSError:
            continue
        if environment.get(_MARK) == str(layout.dir):
            # slurmd starts a slurmstepd for each step of a job, which inherits its environment.
            found[int(entry.name)] = JOB if step else environment[_ROLE]
        elif environment.get("SLURM_CONF") == str(layout.slurm_conf) and "SLURMD_NODENAME" in environment:
            found[int(entry.name)] = JOB
    return found


def end(layout: Layout) -> int:
    """End every process of this cluster, jobs included, and return how many there were.

    Raises:
        DevClusterError: some are still there half a minute later.
    """
    began = time.monotonic()
    seen: set[int] = set()
    while alive := owned(layout):
        waited = time.monotonic() - began
        if waited > _LONGEST_STOP:
            raise DevClusterError(f"these processes of {layout.dir} do not end: {alive}; look at them with ps")
        # Asked once, told later: until the last slurmd is gone, new ones may appear.
        for pid in alive if waited > _GRACE else set(alive) - seen:
            _send(pid, signal.SIGKILL if waited > _GRACE else signal.SIGTERM)
        seen |= set(alive)
        time.sleep(0.05)
    return len(seen)


def wait_until(ready: Callable[[], bool], role: str, layout: Layout) -> None:
    """Wait until `ready()` is true.

    Raises:
        DevClusterError: the daemon of that role has ended, or the time is over; with the end of its log.
    """
    deadline = time.monotonic() + _LONGEST_START
    while not ready():
        gone = role not in owned(layout).values()
        if gone or time.monotonic() > deadline:
            why = "has ended" if gone else f"is not ready after {_LONGEST_START:.0f} s"
            logs = [layout.log(role), *layout.log(role).parent.glob(f"{role.removeprefix('slurmd-')}.log")]
            tail = "\n".join(line for log in logs if log.is_file() for line in _tail(log))
            raise DevClusterError(f"{role} {why}; the end of its log:\n{tail}")
        time.sleep(0.05)


def _environment(entry: Path) -> dict[str, str]:
    """Read a process's environment, also when it is just changing its program and has none for a moment."""
    content = (entry / "environ").read_bytes()
    deadline = time.monotonic() + _LONGEST_EXEC
    while not content and _of_a_program(entry) and time.monotonic() < deadline:
        before = _environment_address(entry)
        content = (entry / "environ").read_bytes()
        if before == _environment_address(entry) != "0":
            break  # settled: its environment is what was read, if only nothing
        time.sleep(0.002)
    text = content.decode(errors="replace")
    return dict(variable.split("=", 1) for variable in text.split("\0") if "=" in variable)


def _of_a_program(entry: Path) -> bool:
    """Tell a living process from a dead one and from a thread of the kernel, which have no program."""
    try:
        (entry / "exe").readlink()
    except OSError:
        return False
    return True


def _environment_address(entry: Path) -> str:
    return (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[_ENV_START]


def _tail(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
