"""Refuse a value of another kind where a user hands one in, before it fails somewhere below."""

from __future__ import annotations

from pathlib import PurePath

from azft.errors import ConfigurationError

MOST = 60
"""Characters of a value that are shown."""


def expect(value: object, kind: type | tuple[type, ...], name: str, hint: str = "") -> None:
    """Do nothing for a value of that kind; `ConfigurationError` with its name and a hint for another.

    >>> expect("run-1", int, "run")
    Traceback (most recent call last):
    ...
    azft.errors.ConfigurationError: run is 'run-1', expected int
    """
    if isinstance(value, kind):
        return
    kinds = kind if isinstance(kind, tuple) else (kind,)
    shown = repr(value)
    shown = shown if len(shown) <= MOST and " at 0x" not in shown else f"a value of type {type(value).__name__}"
    raise ConfigurationError(f"{name} is {shown}, expected {' or '.join(one.__name__ for one in kinds)}", hint=hint)


def expect_run(value: object, kind: type) -> None:
    """Refuse what is no run; a text may be the id of one."""
    hint = "session.submit() returns one"
    if isinstance(value, str) and "/" not in value:
        hint = f"session.attach({value!r}) returns the run of that id"
    elif isinstance(value, str | PurePath):
        hint = "a run of session.submit(); weights in a folder are used with ModelSpec(NAME, weights=FOLDER)"
    expect(value, kind, "run", hint)
