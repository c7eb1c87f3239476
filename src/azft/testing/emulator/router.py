"""Find the operation of a call, check who asks, and answer; what is unknown is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import evolve

from azft.testing.emulator.wire import Call, Operation, Reply, WireError

NO_PROVIDER = (
    "No registered resource provider found for API version '{given}' for type 'workspaces'. The supported api-versions "
    "are '{known}'."
)
"""What Azure Resource Manager says of a version that nobody has published (azure-sdk-for-js 4097)."""
MISSING = "The api-version query parameter (?api-version=) is required for all requests."
MOST_NESTED = 200
"""Levels of a body that a service reads."""


class Router:
    """Answers calls with the first operation whose method, host, path and api-version fit.

    `allowed` gives code and words of why a request's token is not taken, empty if it is; `elsewhere` refuses the names
    of subscriptions, groups and workspaces that do not exist.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        allowed: Callable[[Call], tuple[str, str]],
        elsewhere: Callable[[Mapping[str, str]], WireError | None],
        challenge: str,
    ) -> None:
        self._operations = tuple(operations)
        self._allowed = allowed
        self._elsewhere = elsewhere
        self._challenge = challenge

    def answer(self, call: Call) -> Reply:
        """Return the reply; every refusal is a reply too, and a body of another shape is one of the client's errors."""
        try:
            operation, parameters = self._find(call)
            code, said = ("", "") if operation.open else self._allowed(call)
            if code:
                return self._not_signed_in(code, said)
            refusal = self._elsewhere(parameters)
            if refusal is not None:
                raise refusal
            _check_nesting(call.body)
            return operation.handler(evolve(call, parameters=parameters))
        except WireError as error:
            return error.reply
        except (AttributeError, TypeError, ValueError, LookupError, RecursionError) as error:
            if call.method not in {"PUT", "POST", "PATCH"}:
                raise
            # Handlers read bodies as the specification has them; what has another shape is refused as a whole.
            said = f"the request has another shape than this operation takes ({type(error).__name__}: {error})"
            return WireError(400, "InvalidRequestContent", said).reply

    def _not_signed_in(self, code: str, said: str) -> Reply:
        reply = WireError(401, code, said).reply
        return evolve(reply, headers={**reply.headers, "WWW-Authenticate": self._challenge})

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
        known, given = ", ".join(filter(None, same[0].versions)), call.query.get("api-version", "")
        if not given:
            return WireError(400, "MissingApiVersionParameter", MISSING)
        return WireError(400, "NoRegisteredProviderFound", NO_PROVIDER.format(given=given, known=known))
    if fitting:
        found = f"method {call.method}, known are " + ", ".join(operation.method for operation in fitting)
    else:
        found = "path"
    return WireError(501, "EmulatorUnhandled", f"not emulated: {asked}: {found}")


def _check_nesting(body: Any) -> None:
    level = [body]
    for _depth in range(MOST_NESTED):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    raise WireError(400, "InvalidRequestContent", f"the body is nested more than {MOST_NESTED} levels")


def merged(old: Any, new: Any) -> Any:
    """Return `old` with what `new` says over it, object by object, as PATCH does."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
