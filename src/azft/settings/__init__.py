"""What a session is set to, as one value: read from a YAML or TOML file, written to one, with a published schema."""
