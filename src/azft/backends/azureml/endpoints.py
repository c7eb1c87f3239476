"""Managed online endpoints: made under names that are free, or joined beside others, and taken away as far as ours."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from azft.backends.azureml.client import Clients, word
from azft.backends.azureml.containers import ARGUMENTS, container
from azft.backends.azureml.errors import absent, done_away, translated
from azft.backends.azureml.internals import current_cloud, raw_endpoint
from azft.backends.azureml.saying import advice, readable, said_by
from azft.backends.azureml.scoring import CHAT, ask, stream
from azft.backends.azureml.serving import Serving
from azft.domain.compute import Compute
from azft.domain.findings import Finding
from azft.domain.resource import Endpoint, Leftover, RegisteredModel, Resource
from azft.errors import AzftError, BackendError, ComputeError, ConfigurationError, NameTakenError, NotOursError
from azft.rules.diagnosis import diagnosed
from azft.rules.marks import TOKEN, is_ours
from azft.rules.naming import endpoint_name
from azft.rules.traffic import given_back, shared
from azft.waiting import looked_for

DEPLOYMENT = "azft"
LOG_LINES = 50
BEFORE = "azft.traffic_before"
"""The tag of our deployment that keeps the traffic of a shared endpoint as it was."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]")
_log = logging.getLogger("azft.deploy")


class AzureEndpoints:
    """The endpoints of a workspace; `quota` says what the quotas have to say about machines for a deployment."""

    def __init__(
        self, clients: Clients, serving: Serving, quota: Callable[[str, int], tuple[Compute, Sequence[Finding]]]
    ) -> None:
        self._clients = clients
        self._serving = serving.checked()
        self._quota = quota

    def deploy(
        self,
        model: RegisteredModel,
        name: str,
        allowed: Sequence[str],
        *,
        onto: str = "",
        traffic: int = 0,
        tags: Mapping[str, str] | None = None,
    ) -> Endpoint:
        """Return the endpoint once it answers; what fails is taken away again, and the error holds its log.

        `allowed` are the machine sizes the base model may be deployed on, empty if nobody knows. With `onto` the
        deployment called `name` joins that endpoint; everything else about it stays as it is.
        """
        size = self._serving.size_for(model, allowed)
        marked = {TOKEN: uuid.uuid4().hex, **(tags or {}), "azft.model": f"{model.name}:{model.version}"}
        name = name or (f"{DEPLOYMENT}-{uuid.uuid4().hex[:8]}" if onto else endpoint_name(model.name, _suffix()))
        for given in filter(None, (name, onto)):
            if not _NAME.fullmatch(given):
                raise ConfigurationError(
                    f"{given!r} cannot name an endpoint or deployment",
                    hint="3 to 32 letters, digits and '-', beginning with a letter",
                )
        if not 0 <= traffic <= 100 or (traffic and not onto):  # noqa: PLR2004 - percent
            raise ConfigurationError(f"traffic is {traffic}", hint="0 to 100 percent, with onto= an endpoint")
        with ThreadPoolExecutor(1, thread_name_prefix="azft-endpoint") as aside:
            room = aside.submit(self._check_quota, size)
            there = self._endpoint(onto or name)
        room.result()
        if onto:
            return self._join(model, there, onto, name, size, traffic=traffic, tags=marked)
        return self._make(model, there, name, size, marked)

    def ask(self, endpoint: Endpoint, messages: Sequence[Mapping[str, str]], **settings: Any) -> str:
        """Return the answer to a conversation."""
        key = endpoint.key or self._token()
        return ask(endpoint, key, messages, settings, within=self._serving.request_timeout + 5)

    def stream(self, endpoint: Endpoint, messages: Sequence[Mapping[str, str]], **settings: Any) -> Iterator[str]:
        """Yield the answer to a conversation as it comes."""
        key = endpoint.key or self._token()
        yield from stream(endpoint, key, messages, settings, within=self._serving.request_timeout + 5)

    def delete(self, name: str, token: str) -> None:
        """Delete the endpoint with its deployments; one that is gone is fine, one that is not ours stays."""
        with ThreadPoolExecutor(1, thread_name_prefix="azft-endpoint") as aside:
            parts = aside.submit(self._deployments, name)
            with translated(f"endpoint {name!r}"):
                found = looked_for(lambda: absent(lambda: raw_endpoint(self._clients.workspace, name)))
        if found is None:
            return
        if not is_ours(found.tags, token):
            raise NotOursError(f"endpoint {name} was made by somebody else, so it is left")
        others = [part for part in parts.result() if not is_ours(part.tags)]
        if others:
            names = ", ".join(str(part.name) for part in others)
            raise NotOursError(f"endpoint {name} has deployments of somebody else ({names}), so it is left")
        with translated(f"deleting endpoint {name!r}"):
            client = self._clients.workspace
            done_away(
                f"endpoint {name!r}",
                lambda: client.online_endpoints.begin_delete(name).wait(),
                lambda: raw_endpoint(client, name),
            )

    def leave(self, name: str, part: str, token: str) -> None:
        """Take our deployment away from an endpoint, and give its traffic back; everything else stays as it is."""
        found = looked_for(lambda: self._endpoint(name))
        ours = found and looked_for(lambda: self._deployment(name, part))
        if found is None or ours is None:
            return
        if not is_ours(ours.tags, token):
            raise NotOursError(f"deployment {part} of {name} was made by somebody else, so it is left")
        now = dict(found.traffic or {})
        if now.get(part):
            self._set_traffic(found, given_back(now, part, json.loads((ours.tags or {}).get(BEFORE, "{}"))))
        with translated(f"deleting deployment {part!r} of {name!r}"):
            operations = self._clients.workspace.online_deployments
            done_away(
                f"deployment {part!r} of {name!r}",
                lambda: operations.begin_delete(part, name).wait(),
                lambda: operations.get(part, name),
            )

    def leftovers(self) -> Iterator[Leftover]:
        """Yield every endpoint and every deployment on somebody else's endpoint that bears our marks."""
        with translated("listing endpoints"):
            found = list(self._clients.workspace.online_endpoints.list())
        for there in found:
            tags, ours = there.tags or {}, TOKEN in (there.tags or {})
            parts = [part for part in self._deployments(there.name) if ours or TOKEN in (part.tags or {})]
            machines = [(str(part.instance_type or ""), int(part.instance_count or 0)) for part in parts]
            if ours:
                size = machines[0][0] if machines else ""
                count = sum(number for _size, number in machines)
                resource = Resource("endpoint", str(there.name), "azureml", str(tags[TOKEN]))
                yield Leftover(resource, word(there.provisioning_state), size=size, count=count)
                continue
            for part, (size, count) in zip(parts, machines, strict=True):
                name = f"{there.name}/{part.name}"
                resource = Resource("deployment", name, "azureml", str((part.tags or {})[TOKEN]))
                yield Leftover(resource, word(part.provisioning_state), size=size, count=count)

    def _make(self, model: RegisteredModel, there: Any, name: str, size: str, tags: Mapping[str, str]) -> Endpoint:
        from azure.ai.ml.entities import ManagedOnlineEndpoint

        if there is not None:
            raise NameTakenError(
                f"there is an endpoint {name!r} already, and nothing of it is changed",
                hint=f"choose another name, or add a deployment beside its own: onto={name!r}",
            )
        client = self._clients.workspace
        endpoint = ManagedOnlineEndpoint(name=name, auth_mode=self._serving.auth_mode, tags=dict(tags))
        token = tags[TOKEN]
        try:
            with translated(f"creating endpoint {name!r}"):
                made = client.online_endpoints.begin_create_or_update(endpoint).result()
            self._deployed(name, DEPLOYMENT, model, size, tags)
            endpoint.traffic = {DEPLOYMENT: 100}
            with translated(f"traffic of endpoint {name!r}"), ThreadPoolExecutor(1) as aside:
                asked = aside.submit(self._key, name)
                client.online_endpoints.begin_create_or_update(endpoint).result()
                key = asked.result()
        except BaseException as error:
            _undone(lambda: self.delete(name, token), error, f"endpoint {name}")
            raise
        return Endpoint(name, self._address(str(made.scoring_uri)), model, key, DEPLOYMENT)

    def _join(
        self,
        model: RegisteredModel,
        there: Any,
        name: str,
        part: str,
        size: str,
        *,
        traffic: int,
        tags: Mapping[str, str],
    ) -> Endpoint:
        if there is None:
            raise ConfigurationError(
                f"there is no endpoint {name!r} to deploy onto", hint="leave onto= out to make one"
            )
        if self._deployment(name, part) is not None:
            raise NameTakenError(
                f"endpoint {name!r} has a deployment {part!r} already", hint="leave the name out, or choose another"
            )
        before = dict(there.traffic or {})
        token = tags[TOKEN]
        try:
            self._deployed(name, part, model, size, {**tags, BEFORE: json.dumps(before)})
            if traffic:
                self._set_traffic(self._endpoint(name) or there, shared(before, part, traffic))
            with translated(f"the key of endpoint {name!r}"):
                key = self._key(name)
        except BaseException as error:
            _undone(lambda: self.leave(name, part, token), error, f"deployment {part} of endpoint {name}")
            raise
        return Endpoint(name, self._address(str(there.scoring_uri)), model, key, part, shared=True)

    def _address(self, scoring: str) -> str:
        """Return where what was deployed answers: at OpenAI's address, where it has that face."""
        return f"{scoring.removesuffix('/score')}{CHAT}" if self._serving.server else scoring

    def _deployed(self, name: str, part: str, model: RegisteredModel, size: str, tags: Mapping[str, str]) -> None:
        from azure.ai.ml.entities import ManagedOnlineDeployment, OnlineRequestSettings, ProbeSettings
        from azure.ai.ml.exceptions import MlException
        from azure.core.exceptions import AzureError

        how = self._serving
        deployment = ManagedOnlineDeployment(
            name=part,
            endpoint_name=name,
            model=model.uri,
            instance_type=size,
            instance_count=how.instances,
            liveness_probe=ProbeSettings(initial_delay=how.probe_delay),
            request_settings=OnlineRequestSettings(request_timeout_ms=int(how.request_timeout * 1000)),
            tags=dict(tags),
            environment=container(self._clients, how.image) if how.server else how.environment or None,
            environment_variables={ARGUMENTS: how.arguments} if how.server else None,
        )
        operations = self._clients.workspace.online_deployments
        instead = "see its log above; a larger instance_type=, or another image"
        try:
            made = operations.begin_create_or_update(deployment).result()
            state = word(made.provisioning_state)
            failed = "" if state == "Succeeded" else f"its state is {state}"
        except (AzureError, MlException) as error:
            failed, instead = said_by(error), advice(error, instead)
        if failed:
            log = self._log_of(part, name)
            found = diagnosed(failed, log.splitlines(), step=f"deployment {part}")
            why = f"\n{found}" if found.known else ""
            raise BackendError(
                f"deploying to endpoint {name!r} failed: {failed}{why}\nits log ends:\n{log}",
                hint=found.fix or instead,
            )

    def _log_of(self, part: str, name: str) -> str:
        from azure.core.exceptions import AzureError

        try:
            return str(self._clients.workspace.online_deployments.get_logs(part, name, LOG_LINES)).strip()
        except AzureError as error:
            return f"(no log: {readable(error)})"

    def _set_traffic(self, there: Any, traffic: Mapping[str, int]) -> None:
        there.traffic = dict(traffic)
        with translated(f"traffic of endpoint {there.name!r}"):
            self._clients.workspace.online_endpoints.begin_create_or_update(there).result()

    def _key(self, name: str) -> str:
        found = self._clients.workspace.online_endpoints.get_keys(name)
        return str(getattr(found, "primary_key", None) or "")

    def _token(self) -> str:
        """Return a token of whoever is signed in, for endpoints that take no keys."""
        with translated("signing in to the endpoint"):
            return str(self._clients.credential.get_token(current_cloud().learning).token)

    def _endpoint(self, name: str) -> Any:
        with translated(f"endpoint {name!r}"):
            return absent(lambda: self._clients.workspace.online_endpoints.get(name))

    def _deployment(self, name: str, part: str) -> Any:
        with translated(f"deployment {part!r} of {name!r}"):
            return absent(lambda: self._clients.workspace.online_deployments.get(part, name))

    def _deployments(self, name: str) -> list[Any]:
        with translated(f"deployments of {name!r}"):
            return absent(lambda: list(self._clients.workspace.online_deployments.list(name))) or []

    def _check_quota(self, size: str) -> None:
        compute, findings = self._quota(size, self._serving.instances)
        if any(finding.severity == "error" for finding in findings):
            raise ComputeError(f"{self._serving.instances} x {compute.size} cannot be deployed", findings)
        for finding in findings:
            _log.warning("%s", finding)


def _suffix() -> str:
    return uuid.uuid4().hex[:8]


def _undone(undo: Callable[[], None], error: BaseException, what: str) -> None:
    """Undo what was begun; where that fails, too, the first reason stays the reason, and both are told."""
    try:
        undo()
    except AzftError as failure:
        error.add_note(f"{what} could not be taken away again, and may cost money: {failure}")
