"""The submitit launcher, cluster profiles and a throw-away local SLURM."""
