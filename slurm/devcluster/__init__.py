"""A throw-away, real SLURM on one machine: for tests, CI, and trying a sweep before it goes to a cluster.

``python -m slurm.devcluster start`` brings up munged, MariaDB, slurmdbd, slurmctld and slurmds as root, with
a key, ports and files of their own under one directory; ``stop`` ends them and removes that directory.
"""

from slurm.devcluster.cluster import DevCluster, Status, start, status, stop
from slurm.devcluster.config import PARTITIONS, Settings
from slurm.devcluster.requirements import DevClusterError

__all__ = ["PARTITIONS", "DevCluster", "DevClusterError", "Settings", "Status", "start", "status", "stop"]
