"""Foreign errors become azft's, here and nowhere else."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from azft.errors import AuthenticationError, AzftError, BackendError, NotFoundError, UnreachableError

_SECRETS = re.compile(r"(sig|signature|AccountKey|client_secret|password)=[^&\s\"']+|Bearer\s+\S+", re.IGNORECASE)
_HINTS = {
    HTTPStatus.FORBIDDEN: "ask for the role 'AzureML Data Scientist' on the workspace, and for storage 'Storage Blob "
    "Data Contributor'",
    HTTPStatus.CONFLICT: "another operation is under way, or the name is taken",
    HTTPStatus.TOO_MANY_REQUESTS: "the service asks for patience; try again in a minute",
}


@contextmanager
def translated(doing: str, *, hint: str = "") -> Iterator[None]:
    """Raise what the Azure SDK raises in the block as azft's own errors; `doing` says what was tried."""
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
        raise AuthenticationError(f"{doing}: {readable(error)}", hint=hint or "sign in again") from None
    except ResourceNotFoundError as error:
        raise NotFoundError(f"{doing}: {readable(error)}", hint=hint) from None
    except HttpResponseError as error:
        advice = hint or _HINTS.get(HTTPStatus(error.status_code or HTTPStatus.BAD_REQUEST), "")
        raise BackendError(f"{doing}: Azure answered {error.status_code}: {readable(error)}", hint=advice) from None
    except (ServiceRequestError, ServiceResponseError) as error:
        advice = hint or "check the network, the proxy, and the name of the workspace"
        raise UnreachableError(f"{doing}: Azure cannot be reached: {readable(error)}", hint=advice) from None
    except _mlflow_errors() as error:
        raise BackendError(f"{doing}: MLflow says: {readable(error)}", hint=hint) from None
    except MlException as error:
        kind = NotFoundError if "not exist" in str(error).lower() else BackendError
        raise kind(f"{doing}: {readable(error)}", hint=hint) from None


def is_passing(error: BaseException) -> bool:
    """Whether asking again may help: the network failed, or the service was busy or broken."""
    from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError

    if isinstance(error, HttpResponseError):
        code = error.status_code or 0
        return code >= HTTPStatus.INTERNAL_SERVER_ERROR or code == HTTPStatus.TOO_MANY_REQUESTS
    return isinstance(error, (ServiceRequestError, ServiceResponseError, *_mlflow_errors()))


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
    return _SECRETS.sub("***", message.split("\nCode:", maxsplit=1)[0].strip())
