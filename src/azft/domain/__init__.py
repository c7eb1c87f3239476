"""Frozen values: what azft talks about, with no behaviour that touches the world."""
