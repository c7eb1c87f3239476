"""Jobs that are made of commands: pipelines of components, and sweeps over parameters."""
