"""The sessions of development: tests, lint, types, docs."""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "types", "tests"]
# The CPU build of torch is enough everywhere, and a hundredth of the download of the CUDA one.
INSTALL = ("-c", "constraints.txt", "-e", ".[dev]")
SIDE_BY_SIDE = ("-n", "logical", "--maxprocesses", "4", "--dist", "worksteal")
"""Tests mostly wait for processes of their own: one pytest on each core, and four at most, as each takes 1 GiB."""


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and layers; neither runs the code, so nothing of what it needs is installed."""
    session.install("-c", "constraints.txt", "ruff>=0.8", "import-linter>=2.1")
    session.install("--no-deps", "-e", ".")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Both type checkers; they read the packages and run none, so nothing is compiled."""
    session.install("--no-compile", *INSTALL)
    session.run("python", "tools/check_types.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the docs site strictly, into build/site."""
    session.install(*INSTALL)
    session.run("mkdocs", "build", "--strict", "--clean")


@nox.session
def tests(session: nox.Session) -> None:
    """The default suite; `nox -s tests -- -m slow` runs the slow one."""
    session.install(*INSTALL)
    # Trainings side by side: a thread that waits leaves its core to the others.
    session.run("pytest", *SIDE_BY_SIDE, *session.posargs, env={"OMP_WAIT_POLICY": "passive"})
