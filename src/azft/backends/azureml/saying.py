"""What an error of the SDK says, in a line that can be shown, and what to do about it; no secret of it is told."""

from __future__ import annotations

import json
import re
from typing import Any

from azft.backends.azureml.pages import causes, page_behind
from azft.rules.refusals import advice_for

_SECRETS = re.compile(r"(sig|signature|AccountKey|client_secret|password)=[^&\s\"']+|Bearer\s+\S+", re.IGNORECASE)
_AGAIN = "the network broke it off: try again; azft finds what the request has made already"
_LAST = "try again in a minute; if it stays, tell azft's authors"
_IN_BETWEEN = (
    "something on the way answers for Azure, such as a proxy or the sign-in page of a network: sign in there, or check "
    "HTTPS_PROXY, and try again"
)
_NOT_FOUND = 404
_REFUSED = 400


def said_by(error: BaseException) -> str:
    """Return what an error of the SDK says of a request: the service's status and words, or what came instead."""
    from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError

    status, title = status_code(error), page_behind(error)
    if title is not None:
        refused = f"Azure answered {status}: " if status >= _REFUSED else ""
        return f"{refused}a web page came in place of Azure's answer{f' ({title})' if title else ''}"
    if is_broken_off(error):
        return "Azure's answer broke off before its end"
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return f"Azure cannot be reached: {readable(error)}"
    if isinstance(error, HttpResponseError):
        return f"{f'Azure answered {status}' if status else 'the answer of Azure cannot be read'}: {readable(error)}"
    if isinstance(error, AzureError):
        return readable(error)
    stumbled = "" if isinstance(error, OSError) else "azure-ai-ml stumbled over an answer: "
    return f"{stumbled}{type(error).__name__}: {readable(error)}"


def advice(error: BaseException, hint: str) -> str:
    """Return what to do about an error of the SDK: by its code, then `hint`, then what helps with its kind."""
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError

    if page_behind(error) is not None and status_code(error) < _REFUSED:
        return _IN_BETWEEN
    if is_broken_off(error):
        return _AGAIN
    known = advice_for(code_of(error), status_code(error), readable(error)) or hint
    if known:
        return known
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return "check the network, the proxy, and the name of the workspace"
    return "check the names; what was made a moment ago may take a minute to be seen" if _is_missing(error) else _LAST


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


def is_broken_off(error: BaseException | None) -> bool:
    """Return whether the connection ended within an answer."""
    from azure.core.exceptions import IncompleteReadError

    return any(isinstance(one, IncompleteReadError) or "IncompleteRead" in str(one) for one in causes(error))


def _is_missing(error: BaseException) -> bool:
    return status_code(error) == _NOT_FOUND


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
