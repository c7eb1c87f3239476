"""The two decorators of azft's hooks."""

import pluggy

PROJECT = "azft"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
