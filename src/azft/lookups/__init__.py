"""What a plan needs to know, asked for side by side and without changing anything."""
