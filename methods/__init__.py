"""Debiasing methods, one package per method with its card."""
