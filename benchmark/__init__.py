"""What a run is, how it is executed, measured and stored. Knows no task and no method by name."""
