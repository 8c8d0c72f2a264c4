"""Parameters chosen by Optuna: search spaces, objectives, studies, and the workers that run trials.

A trial is an ordinary cell on a seed of its own; its value is computed from its record. Planning imports
Optuna only to count the trials of a study that has not chosen yet.
"""
