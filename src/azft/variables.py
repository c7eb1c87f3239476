"""Which environment variables a process of ours may know, and which of them are secrets."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "TOKENIZERS_PARALLELISM": "false"}
"""What a process of ours that nobody looks at is told."""
OFFLINE = {"HF_HUB_OFFLINE": "1"}
"""Where everything is on the disk, no library is to ask a hub."""
WAITING = {"GOMP_SPINCOUNT": "2000"}
"""How often a thread of GNU OpenMP, which torch has on Linux, looks for work before it sleeps.

By its own default it keeps a core busy for longer than a small model's step takes, so that whoever else works on the
machine takes turns with it: of two trainings at once each went at 3 % of its speed, and at 25 % with this; one that is
alone loses a few percent (two cores, torch 2.13).
"""
_ALLOWED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TEMP|TMP|SYSTEMROOT|PYTHON\w+|VIRTUAL_ENV|LD_\w+|XDG_\w+|"
    r"(OMP|GOMP|MKL|OPENBLAS|NUMEXPR|KMP|ONEDNN|DNNL|ATEN|TORCH|PYTORCH|CUDA|NVIDIA|NCCL|TOKENIZERS|TRANSFORMERS|COVERAGE)_\w+|"
    r"HF_(HOME|HUB_CACHE|HUB_OFFLINE|DATASETS_CACHE|DATASETS_OFFLINE|ENDPOINT|HUB_DISABLE_\w+|HUB_ETAG_TIMEOUT)|"
    r"SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|[Nn][Oo]_[Pp][Rr][Oo][Xx][Yy]"
)
"""Variables that say where things are and how fast to work. All others stay here: any of them may be a secret."""
_SECRET = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY")
"""What fetching a model from a hub needs, and may hold a password."""


def allowed(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a process of ours may know.

    >>> sorted(allowed({"PATH": "/bin", "AZURE_CLIENT_SECRET": "s", "HF_TOKEN": "t", "OMP_NUM_THREADS": "2"}))
    ['OMP_NUM_THREADS', 'PATH']
    """
    return {name: value for name, value in environment.items() if _ALLOWED.fullmatch(name)}


def sharing(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment whose threads leave the cores to others while they wait, unless it says how they do.

    >>> sharing({"A": "b"}), sharing({"OMP_WAIT_POLICY": "active"})
    ({'A': 'b', 'GOMP_SPINCOUNT': '2000'}, {'OMP_WAIT_POLICY': 'active'})
    """
    # What a process of ours was told it hands on; that says nothing of what the user wants.
    told = {name: value for name, value in environment.items() if WAITING.get(name) != value}
    return told if told.keys() & {*WAITING, "OMP_WAIT_POLICY"} else {**told, **WAITING}


def module_path() -> str:
    """Return where this process finds modules, for a process that works in another folder."""
    return os.pathsep.join(str(Path(place).absolute()) for place in sys.path if place)


def hub_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that fetching from a hub needs and that may be secret: they go by pipe."""
    return {name: environment[name] for name in _SECRET if environment.get(name)}
