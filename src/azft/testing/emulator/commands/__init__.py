"""Command jobs: a user's own program with its code, inputs, outputs and processes, run on this machine."""
