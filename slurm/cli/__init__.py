"""Commands that know of clusters; :mod:`benchmark.cli` lists them."""
