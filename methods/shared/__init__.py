"""Pieces that several methods share: gates, masks, the bias head, the mutual-information term, probes."""
