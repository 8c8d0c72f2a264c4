"""Biased data sets, one module per task."""
