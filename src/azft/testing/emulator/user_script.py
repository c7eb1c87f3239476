"""A user's scoring script: loaded from its folder, its two functions found, and `init()` called."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def load_script(path: Path) -> Callable[[Any], Any]:
    """Return `run` of a script, once its `init()` has been called; one that cannot be loaded ends the process."""
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"no script {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    for name in ("init", "run"):
        if not callable(getattr(module, name, None)):
            raise SystemExit(f"{path.name} has no function {name}()")
    module.init()
    run: Callable[[Any], Any] = module.run
    return run
