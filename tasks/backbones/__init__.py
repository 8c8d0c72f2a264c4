"""Networks of the tasks, each built by a factory that a task names by import path."""
