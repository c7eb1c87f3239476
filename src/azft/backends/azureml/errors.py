"""Foreign errors become azft's, here and nowhere else; what to do about them follows from their code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from azft.backends.azureml.saying import advice, readable, said_by, status_code
from azft.errors import AuthenticationError, AzftError, BackendError, NotFoundError, UnreachableError
from azft.waiting import looked_for

T = TypeVar("T")
_UNAUTHORIZED = 401
_NOT_FOUND = 404


@contextmanager
def translated(doing: str, *, hint: str = "") -> Iterator[None]:
    """Raise whatever is raised in the block as one of azft's own errors; `doing` says what was tried.

    The advice follows from the service's error code, and is `hint` where the code is not known.
    """
    from azure.core.exceptions import AzureError

    try:
        yield
    except AzftError:
        raise
    except AzureError as error:
        raise _kind_of(error)(f"{doing}: {said_by(error)}", hint=advice(error, hint)) from None
    except _mlflow_errors() as error:
        raise BackendError(f"{doing}: MLflow says: {readable(error)}", hint=advice(error, hint)) from None
    except Exception as error:  # the SDK raises whatever it meets next where an answer has another shape
        raise BackendError(f"{doing}: {said_by(error)}", hint=advice(error, hint)) from error


def absent(ask: Callable[[], T]) -> T | None:
    """Return what is asked for, None where the service says that there is none; inside `translated`."""
    from azure.core.exceptions import HttpResponseError

    try:
        return ask()
    except HttpResponseError as error:
        if status_code(error) == _NOT_FOUND:
            return None
        raise


def done_away(what: str, request: Callable[[], Any], look: Callable[[], Any]) -> bool:
    """Delete or stop something, and return whether it was there; where the service says no, look whether that is so."""
    if absent(lambda: (request(),)) is not None:
        return True
    if looked_for(lambda: absent(lambda: (look(),))) is not None:
        raise BackendError(
            f"{what}: Azure answered 404 as if there were none, and shows it when it is asked for",
            hint="try again in a minute; until then it goes on, and may cost money",
        )
    return False


def is_signed_out(error: BaseException | None) -> bool:
    """Return whether the service did not take the sign-in."""
    return isinstance(error, AuthenticationError) or status_code(error) == _UNAUTHORIZED


def _kind_of(error: BaseException) -> type[BackendError]:
    """Return which of azft's errors it is: the SDK gives some statuses a class of their own in some places only."""
    from azure.ai.ml.exceptions import MlException
    from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError, ServiceResponseError

    if isinstance(error, ClientAuthenticationError) or status_code(error) == _UNAUTHORIZED:
        return AuthenticationError
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return UnreachableError
    unknown = isinstance(error, MlException) and "not exist" in str(error).lower()
    return NotFoundError if unknown or status_code(error) == _NOT_FOUND else BackendError


def _mlflow_errors() -> tuple[type[BaseException], ...]:
    """Return MLflow's own error; where MLflow was never imported, nothing of it can have been raised."""
    module = sys.modules.get("mlflow.exceptions")
    return () if module is None else (module.MlflowException,)
