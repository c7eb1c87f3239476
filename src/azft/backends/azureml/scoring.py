"""Ask a deployed model, straight from its scoring address, and read whatever shape its answer has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import requests

from azft.backends.azureml.containers import SERVED
from azft.backends.azureml.saying import body_of
from azft.domain.resource import Endpoint
from azft.errors import AuthenticationError, BackendError, ConfigurationError, NotFoundError
from azft.rules.streams import pieces
from azft.rules.suggest import did_you_mean

CHAT = "/v1/chat/completions"
"""OpenAI's address, below that of an endpoint whose container has its face."""
SETTINGS = {"max_tokens": "max_new_tokens", "temperature": "temperature", "top_p": "top_p"}
_MODEL_STATUS, _MODEL_REASON = "ms-azureml-model-error-statuscode", "ms-azureml-model-error-reason"
_HINTS: Mapping[int, str] = {
    HTTPStatus.NOT_FOUND: "give one of its deployments traffic",
    HTTPStatus.REQUEST_TIMEOUT: "the model takes longer than request_timeout=: fewer tokens, or up to 180 s",
    424: "the model's own code failed: see the deployment's log",
    HTTPStatus.TOO_MANY_REQUESTS: "more is asked than the deployment takes: ask again later, or give it instances=",
    HTTPStatus.SERVICE_UNAVAILABLE: "the deployment is not ready: try again in a minute",
}


def ask(
    endpoint: Endpoint, key: str, messages: Sequence[Mapping[str, str]], settings: Mapping[str, Any], *, within: float
) -> str:
    """Return the answer to a conversation; the SDK's own call keeps headers from one call to the next.

    Errors: `ConfigurationError` for a setting that is not taken, `AuthenticationError`, and `BackendError` with the
    body of whatever is no answer.
    """
    answer = _answer(endpoint, key, _body(endpoint, messages, settings), within=within)
    try:
        text = text_of(answer.json())
    except ValueError:
        text = None
    if text is None:
        said = f"endpoint {endpoint.name!r} answered with something that is no text: {body_of(answer.text)}"
        raise BackendError(said, hint="its scoring script gives another shape; see the deployment's log")
    return text


def stream(
    endpoint: Endpoint, key: str, messages: Sequence[Mapping[str, str]], settings: Mapping[str, Any], *, within: float
) -> Iterator[str]:
    """Yield the answer piece by piece, where the endpoint has OpenAI's face; elsewhere it comes in one piece.

    Errors: those of `ask`; `BackendError` where the answer breaks off.
    """
    if not is_chat(endpoint):
        yield ask(endpoint, key, messages, settings, within=within)
        return
    body = {**_body(endpoint, messages, settings), "stream": True}
    answer = _answer(endpoint, key, body, within=within, streams=True)
    try:
        with answer:
            yield from pieces(answer.iter_lines())
    except (requests.RequestException, ValueError, LookupError, TypeError, AttributeError) as error:
        said = f"the answer of endpoint {endpoint.name!r} broke off: {type(error).__name__}"
        raise BackendError(said, hint="ask again") from None


def is_chat(endpoint: Endpoint) -> bool:
    """Whether an endpoint is asked at OpenAI's address."""
    return endpoint.url.endswith(CHAT)


def _body(endpoint: Endpoint, messages: Sequence[Mapping[str, str]], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked, in the shape that the endpoint takes."""
    unknown = [name for name in settings if name not in SETTINGS]
    if unknown:
        raise ConfigurationError(
            f"there is no setting {', '.join(map(repr, unknown))}: an Azure endpoint takes {', '.join(SETTINGS)}",
            hint=did_you_mean(unknown[0], SETTINGS),
        )
    talk = [dict(message) for message in messages]
    if is_chat(endpoint):
        return {"model": SERVED, "messages": talk, "temperature": 0, **settings}
    parameters = {SETTINGS[name]: value for name, value in settings.items()}
    parameters["do_sample"] = bool(settings.get("temperature"))
    if not parameters["do_sample"]:
        parameters.pop("temperature", None)
    return {"input_data": {"input_string": talk, "parameters": parameters}}


def _answer(
    endpoint: Endpoint, key: str, body: Mapping[str, Any], *, within: float, streams: bool = False
) -> requests.Response:
    """Return the endpoint's answer; whatever is none is raised with its reason."""
    headers = {"Authorization": f"Bearer {key}", "azureml-model-deployment": endpoint.deployment}
    try:
        answer = requests.post(endpoint.url, json=body, headers=headers, timeout=within, stream=streams)
    except requests.RequestException as error:
        said = f"endpoint {endpoint.name!r} does not answer: {type(error).__name__}"
        raise BackendError(said, hint="look at its state in the studio, and ask again") from None
    if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        said = f"endpoint {endpoint.name!r} answered {answer.status_code}: the key is wrong"
        raise AuthenticationError(f"{said}: {body_of(answer.text)}", hint="deploy again, or ask for its keys anew")
    if not answer.ok:
        why = " ".join(answer.headers[name] for name in (_MODEL_STATUS, _MODEL_REASON) if name in answer.headers)
        kind = NotFoundError if answer.status_code == HTTPStatus.NOT_FOUND else BackendError
        said = f"endpoint {endpoint.name!r} answered {answer.status_code}{f' ({why})' if why else ''}"
        raise kind(f"{said}: {body_of(answer.text)}", hint=_HINTS.get(answer.status_code, ""))
    return answer


def text_of(answer: Any) -> str | None:
    """Return the text of an answer, in every shape that Microsoft's samples and images give; None for any other.

    >>> text_of({"output": "a"}), text_of([{"0": "b"}]), text_of({"choices": [{"message": {"content": "c"}}]})
    ('a', 'b', 'c')
    >>> text_of({"predictions": ["d"]}), text_of({"error": {"message": "no"}}), text_of({"output": None})
    ('d', None, None)
    """
    if isinstance(answer, str):
        return answer
    if isinstance(answer, list):
        return text_of(answer[0]) if answer else None
    if not isinstance(answer, dict) or answer.get("error"):
        return None
    for name in ("output", "0", "predictions", "choices", "message", "content", "generated_text", "text"):
        if name in answer:
            return text_of(answer[name])
    return None
