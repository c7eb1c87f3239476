"""Managed online endpoints: deployed with settings that were checked, asked directly, deleted."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

import requests

from azft.backends.azureml.client import Clients, word
from azft.backends.azureml.errors import readable, translated
from azft.domain.resource import Endpoint, RegisteredModel
from azft.errors import AuthenticationError, BackendError, ConfigurationError

DEPLOYMENT = "azft"
LONGEST_NAME = 32
LONGEST_REQUEST = 180.0
"""Seconds; Azure refuses more (azure-docs 123307)."""
LOG_LINES = 50
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]")
_SETTINGS = {"max_tokens": "max_new_tokens", "temperature": "temperature", "top_p": "top_p"}


class AzureEndpoints:
    """The endpoints of a workspace; `instance_type` is the machine, `request_timeout` seconds."""

    def __init__(self, clients: Clients, *, instance_type: str, instances: int, request_timeout: float) -> None:
        if not 0 < request_timeout <= LONGEST_REQUEST:
            raise ConfigurationError(
                f"request_timeout is {request_timeout}, expected up to {LONGEST_REQUEST:g} seconds"
            )
        self._clients = clients
        self._instance_type = instance_type
        self._instances = instances
        self._timeout = request_timeout

    def deploy(self, model: RegisteredModel, name: str, allowed: Sequence[str]) -> Endpoint:
        """Return the endpoint once it answers; on any failure it is deleted again, and the error holds its log.

        `allowed` are the machine sizes the base model may be deployed on, empty if nobody knows.
        """
        from azure.ai.ml.entities import (
            ManagedOnlineDeployment,
            ManagedOnlineEndpoint,
            OnlineRequestSettings,
            ProbeSettings,
        )

        size = self._size(model, allowed)
        name = name or _free_name(model)
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"{name!r} cannot name an endpoint", hint="3 to 32 letters, digits and '-', beginning with a letter"
            )
        client = self._clients.workspace
        endpoint = ManagedOnlineEndpoint(
            name=name, auth_mode="key", tags={"azft.model": f"{model.name}:{model.version}"}
        )
        deployment = ManagedOnlineDeployment(
            name=DEPLOYMENT,
            endpoint_name=name,
            model=model.uri,
            instance_type=size,
            instance_count=self._instances,
            liveness_probe=ProbeSettings(initial_delay=600),
            request_settings=OnlineRequestSettings(request_timeout_ms=int(self._timeout * 1000)),
        )
        with ExitStack() as undo:
            with translated(f"creating endpoint {name!r}"):
                made = client.online_endpoints.begin_create_or_update(endpoint).result()
            undo.callback(self.delete, name)
            self._deployed(name, deployment)
            endpoint.traffic = {DEPLOYMENT: 100}
            with translated(f"traffic of endpoint {name!r}"), ThreadPoolExecutor(1) as aside:
                asked = aside.submit(client.online_endpoints.get_keys, name)
                client.online_endpoints.begin_create_or_update(endpoint).result()
                keys = asked.result()
            undo.pop_all()
        return Endpoint(name, str(made.scoring_uri), model, str(keys.primary_key))

    def ask(self, endpoint: Endpoint, messages: Sequence[Mapping[str, str]], **settings: Any) -> str:
        """Return the answer to a conversation, straight from the scoring address.

        The SDK's own call keeps headers from one call to the next, so it is not used.
        """
        unknown = [key for key in settings if key not in _SETTINGS]
        if unknown:
            raise ConfigurationError(f"{', '.join(unknown)}: an Azure endpoint takes {', '.join(_SETTINGS)}")
        parameters = {_SETTINGS[key]: value for key, value in settings.items()}
        parameters["do_sample"] = bool(settings.get("temperature"))
        if not parameters["do_sample"]:
            parameters.pop("temperature", None)
        body = {"input_data": {"input_string": [dict(message) for message in messages], "parameters": parameters}}
        headers = {"Authorization": f"Bearer {endpoint.key}", "azureml-model-deployment": DEPLOYMENT}
        try:
            answer = requests.post(endpoint.url, json=body, headers=headers, timeout=self._timeout + 5)
        except requests.RequestException as error:
            raise BackendError(f"endpoint {endpoint.name!r} does not answer: {type(error).__name__}") from None
        if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise AuthenticationError(f"endpoint {endpoint.name!r} answered {answer.status_code}: the key is wrong")
        if not answer.ok:
            raise BackendError(f"endpoint {endpoint.name!r} answered {answer.status_code}: {answer.text[:500]}")
        return _text(answer.json())

    def delete(self, name: str) -> None:
        """Delete the endpoint with its deployments; one that is gone is fine."""
        from azure.core.exceptions import ResourceNotFoundError

        with translated(f"deleting endpoint {name!r}"):
            try:
                self._clients.workspace.online_endpoints.begin_delete(name).wait()
            except ResourceNotFoundError:
                return

    def _deployed(self, name: str, deployment: Any) -> None:
        from azure.ai.ml.exceptions import MlException
        from azure.core.exceptions import AzureError

        operations = self._clients.workspace.online_deployments
        try:
            made = operations.begin_create_or_update(deployment).result()
            state = word(made.provisioning_state)
            failed = "" if state == "Succeeded" else f"its state is {state}"
        except (AzureError, MlException) as error:
            failed = readable(error)
        if failed:
            raise BackendError(
                f"deploying to endpoint {name!r} failed: {failed}\nits log ends:\n{self._log(name)}",
                hint="a larger instance_type=, or another image; the endpoint was deleted again",
            )

    def _log(self, name: str) -> str:
        from azure.core.exceptions import AzureError

        try:
            return str(self._clients.workspace.online_deployments.get_logs(DEPLOYMENT, name, LOG_LINES)).strip()
        except AzureError as error:
            return f"(no log: {readable(error)})"

    def _size(self, model: RegisteredModel, allowed: Sequence[str]) -> str:
        if not self._instance_type and not allowed:
            raise ConfigurationError(
                f"no machine size to deploy {model.name} on",
                hint="azft.connect('azureml', instance_type='Standard_...')",
            )
        size = self._instance_type or allowed[0]
        if allowed and size.lower() not in {known.lower() for known in allowed}:
            raise ConfigurationError(f"{model.name} cannot be deployed on {size}", hint=f"one of {', '.join(allowed)}")
        return size


def _free_name(model: RegisteredModel) -> str:
    stem = re.sub(r"[^A-Za-z0-9]+", "-", model.name).strip("-").lower() or "model"
    stem = stem if stem[0].isalpha() else f"m-{stem}"
    return f"{stem[: LONGEST_NAME - 9].rstrip('-')}-{uuid.uuid4().hex[:8]}"


def _text(answer: Any) -> str:
    """Return the text of an answer, flat or nested: Microsoft's samples and images give both."""
    first = answer[0] if isinstance(answer, list) and answer else answer
    if isinstance(first, dict):
        return str(first.get("output", first.get("0", "")))
    return str(first)
