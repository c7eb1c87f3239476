"""Find the operation of a call, check who asks, and answer; what is unknown is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import evolve

from azft.testing.emulator.wire import Call, Operation, Reply, WireError

_NOT_SIGNED_IN = WireError(401, "AuthenticationFailed", "the bearer token is missing, expired, or of another issuer")


class Router:
    """Answers calls with the first operation whose method, host, path and api-version fit."""

    def __init__(self, operations: Sequence[Operation], allowed: Callable[[Mapping[str, str]], bool]) -> None:
        self._operations = tuple(operations)
        self._allowed = allowed

    def answer(self, call: Call) -> Reply:
        """Return the reply; every refusal is a reply too."""
        try:
            operation, parameters = self._find(call)
            if not operation.open and not self._allowed(call.headers):
                return _NOT_SIGNED_IN.reply
            return operation.handler(evolve(call, parameters=parameters))
        except WireError as error:
            return error.reply

    def _find(self, call: Call) -> tuple[Operation, dict[str, str]]:
        fitting: list[Operation] = []
        for operation in self._operations:
            parameters = operation.match(call.host, call.path)
            if parameters is None:
                continue
            fitting.append(operation)
            version = call.query.get("api-version", "")
            if operation.method == call.method and (not operation.versions or version in operation.versions):
                return operation, parameters
        raise _unhandled(call, fitting)


def _unhandled(call: Call, fitting: Sequence[Operation]) -> WireError:
    asked = f"{call.method} https://{call.host}{call.path}"
    same = [operation for operation in fitting if operation.method == call.method]
    if same:
        known = ", ".join(same[0].versions)
        found = f"api-version {call.query.get('api-version', '')!r}, known are {known}"
    elif fitting:
        found = f"method {call.method}, known are " + ", ".join(operation.method for operation in fitting)
    else:
        found = "path"
    return WireError(501, "EmulatorUnhandled", f"not emulated: {asked}: {found}")


def merged(old: Any, new: Any) -> Any:
    """Return `old` with what `new` says over it, object by object, as PATCH does."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
