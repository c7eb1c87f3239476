"""Foreign errors become azft's, here and nowhere else; what to do about them follows from their code."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from azft.errors import AuthenticationError, AzftError, BackendError, NotFoundError, UnreachableError
from azft.rules.refusals import advice_for

T = TypeVar("T")
_SECRETS = re.compile(r"(sig|signature|AccountKey|client_secret|password)=[^&\s\"']+|Bearer\s+\S+", re.IGNORECASE)
_UNAUTHORIZED = 401
_NOT_FOUND = 404


@contextmanager
def translated(doing: str, *, hint: str = "") -> Iterator[None]:
    """Raise whatever is raised in the block as one of azft's own errors; `doing` says what was tried.

    The advice follows from the service's error code, and is `hint` where the code is not known.
    """
    from azure.ai.ml.exceptions import MlException
    from azure.core.exceptions import (
        ClientAuthenticationError,
        HttpResponseError,
        ResourceNotFoundError,
        ServiceRequestError,
        ServiceResponseError,
    )

    try:
        yield
    except AzftError:
        raise
    except ClientAuthenticationError as error:
        raise AuthenticationError(f"{doing}: {readable(error)}", hint=_advice(error, hint or "sign in again")) from None
    except ResourceNotFoundError as error:
        raise NotFoundError(f"{doing}: {readable(error)}", hint=_advice(error, hint)) from None
    except HttpResponseError as error:
        said = f"Azure answered {error.status_code}" if error.status_code else "Azure's answer cannot be read"
        raise BackendError(f"{doing}: {said}: {readable(error)}", hint=_advice(error, hint)) from None
    except (ServiceRequestError, ServiceResponseError) as error:
        advice = hint or "check the network, the proxy, and the name of the workspace"
        raise UnreachableError(f"{doing}: Azure cannot be reached: {readable(error)}", hint=advice) from None
    except _mlflow_errors() as error:
        raise BackendError(f"{doing}: MLflow says: {readable(error)}", hint=hint) from None
    except MlException as error:
        kind = NotFoundError if "not exist" in str(error).lower() else BackendError
        raise kind(f"{doing}: {readable(error)}", hint=hint or advice_for("", 0, str(error))) from None
    except OSError as error:
        raise BackendError(f"{doing}: {type(error).__name__}: {readable(error)}", hint=hint) from error
    except Exception as error:  # the SDK raises whatever it meets next where an answer has another shape
        said = f"azure-ai-ml stumbled over an answer: {type(error).__name__}: {readable(error)}"
        raise BackendError(f"{doing}: {said}", hint=hint or "try again; if it stays, tell azft's authors") from error


def code_of(error: Any) -> str:
    """Return the service's code of a refusal: of the body, of its first detail, or of the header; empty for none."""
    inner = getattr(error, "error", None)
    codes = [getattr(inner, "code", None)]
    codes += [getattr(detail, "code", None) for detail in getattr(inner, "details", None) or ()]
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", None) or {}
    codes.append(headers.get("x-ms-error-code"))
    code = getattr(error, "error_code", None)
    codes.append(getattr(code, "value", code))
    return next((str(found) for found in codes if found and str(found) not in {"UserError", "BadRequest"}), "")


def status_code(error: BaseException | None) -> int:
    """Return the HTTP status of a refusal, 0 for any other error."""
    status = getattr(error, "status_code", None)
    return int(status) if isinstance(status, int) else 0


def absent(ask: Callable[[], T]) -> T | None:
    """Return what is asked for, None where the service says that there is none; inside `translated`."""
    from azure.core.exceptions import HttpResponseError

    try:
        return ask()
    except HttpResponseError as error:
        if status_code(error) == _NOT_FOUND:
            return None
        raise


def is_signed_out(error: BaseException | None) -> bool:
    """Return whether the service did not take the sign-in."""
    return isinstance(error, AuthenticationError) or status_code(error) == _UNAUTHORIZED


def _advice(error: Any, hint: str) -> str:
    return advice_for(code_of(error), status_code(error), readable(error)) or hint


def _mlflow_errors() -> tuple[type[BaseException], ...]:
    """Return MLflow's own error; where MLflow was never imported, nothing of it can have been raised."""
    module = sys.modules.get("mlflow.exceptions")
    return () if module is None else (module.MlflowException,)


def readable(error: BaseException) -> str:
    r"""Return the error's message without what the SDK repeats below it, and without secrets.

    >>> readable(ValueError("no https://a.blob/x?sp=r&sig=abc%2Fd now\nCode: X"))
    'no https://a.blob/x?sp=r&*** now'
    """
    message = str(getattr(error, "message", "") or error)
    return without_secrets(message.split("\nCode:", maxsplit=1)[0].strip())


def without_secrets(text: str) -> str:
    """Return the text without signatures, keys and tokens.

    >>> without_secrets("AccountKey=abc; Bearer xyz")
    '*** ***'
    """
    return _SECRETS.sub("***", text)


def body_of(text: str, *, most: int = 500) -> str:
    """Return the start of an answer's body as one line that can be shown."""
    try:
        text = json.dumps(json.loads(text), ensure_ascii=False)
    except ValueError:
        text = " ".join(text.split())
    return without_secrets(text[:most])
