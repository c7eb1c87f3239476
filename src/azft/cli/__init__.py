"""The command line: the same objects, a command each; nothing heavy is imported before a command runs."""
