"""Data cards, one per task, and what generates the counts in them."""
