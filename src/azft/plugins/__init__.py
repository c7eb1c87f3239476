"""The hooks: their specification, the markers plugins use, and the catalogue of what plugins offer."""

from azft.plugins.markers import hookimpl

__all__ = ["hookimpl"]
