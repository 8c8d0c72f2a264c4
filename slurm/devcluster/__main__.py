"""Command line: ``python -m slurm.devcluster start|status|stop``."""

from pathlib import Path

import click

from slurm.devcluster import cluster, requirements
from slurm.devcluster.config import PARTITIONS, Settings

_dir = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, resolve_path=True),
    default=cluster.DEFAULT_DIR,
    show_default=True,
    help="Where the cluster keeps its files; made by start, removed by stop.",
)


class _Group(click.Group):
    """Shows a DevClusterError as a message, not as a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except requirements.DevClusterError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=_Group)
def main() -> None:
    """A throw-away, real SLURM on this machine (Debian 12, as root)."""


@main.command()
@_dir
@click.option("--nodes", default=2, show_default=True, help="How many nodes, each with one GPU (a stand-in).")
@click.option("--cpus-per-node", type=int, help="CPUs of each node; an even share of the machine if not given.")
@click.option("--memory", type=int, help="Memory of each node in MB; an even share of the machine if not given.")
@click.option("--max-array-size", default=11, show_default=True, help="SLURM's MaxArraySize; real clusters: 1001.")
@click.option("--install", is_flag=True, help="Install the Debian packages first, where any is missing.")
def start(
    directory: Path,
    nodes: int,
    cpus_per_node: int | None,
    memory: int | None,
    max_array_size: int,
    install: bool,
) -> None:
    """Start the cluster; does nothing if it runs, cleans up first if it crashed."""
    if install and requirements.missing():
        requirements.install()
    settings = Settings.of_machine(nodes, cpus_per_node, memory, max_array_size)
    running = cluster.start(settings, directory)
    click.echo(
        f"SLURM is up: {', '.join(settings.node_names)} with {settings.cpus_per_node} CPUs, "
        f"{settings.memory_per_node} MB and 1 GPU each; partitions {', '.join(PARTITIONS)}; "
        f"MaxArraySize {settings.max_array_size}."
    )
    click.echo("To use it:  " + " ".join(f"export {name}={value}" for name, value in running.environment.items()))
    click.echo(f"To stop it: python -m slurm.devcluster stop --dir {directory}")


@main.command()
@_dir
def stop(directory: Path) -> None:
    """End every process of the cluster, running jobs included, and remove its directory."""
    click.echo("SLURM is stopped." if cluster.stop(directory) else f"There is no cluster in {directory}.")


@main.command()
@_dir
@click.pass_context
def status(ctx: click.Context, directory: Path) -> None:
    """Show daemons and nodes. Exit code: 0 all is well, 1 something is missing, 3 there is no cluster."""
    found = cluster.status(directory)
    if found is None:
        click.echo(f"There is no cluster in {directory}.")
        ctx.exit(3)
    for role, pid in found.daemons.items():
        click.echo(f"{role:16} {'not running' if pid is None else pid}")
    for line in found.nodes or ("no word from slurmctld",):
        click.echo(line)
    click.echo(f"{found.job_processes} processes of jobs")
    ctx.exit(0 if found.healthy else 1)


if __name__ == "__main__":
    main()
