"""The gate: every row of a source is looked at once, and what goes through is written, counted and described."""
