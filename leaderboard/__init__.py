"""Stored results to statistics, tables, pages and plots."""
