"""Step 8: an endpoint that answers, and goes when the block ends."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from azft.domain.expecting import expect
from azft.domain.resource import Endpoint, RegisteredModel, Resource, ResourceKind
from azft.errors import AzftError
from azft.ledger import Ledger
from azft.ports import Disposer, EndpointService
from azft.rules.naming import endpoint_name
from azft.views.description import Line, View

DEPLOYMENT = "azft"
"""How a deployment is called, beside a few letters of its own, on somebody else's endpoint."""


class _Host(EndpointService, Disposer, Protocol):
    """What deploying needs: to start an endpoint, ask it, and take it away."""


class DeployedModel(Line):
    """An endpoint as a context manager: `with` takes it away on any way out, and of a shared one our part alone."""

    def __init__(self, backend: _Host, endpoint: Endpoint, resource: Resource, ledger: Ledger | None = None) -> None:
        self._backend = backend
        self._resource = resource
        self._ledger = ledger
        self.endpoint = endpoint

    @property
    def name(self) -> str:
        """The endpoint's name."""
        return self.endpoint.name

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.endpoint.url

    def ask(self, question: str | Sequence[Mapping[str, str]], **settings: Any) -> str:
        """Return the answer to a question, or to a whole conversation; settings as of `/v1/chat/completions`."""
        messages = [{"role": "user", "content": question}] if isinstance(question, str) else question
        return self._backend.ask(self.endpoint, messages, **settings)

    def stream(self, question: str | Sequence[Mapping[str, str]], **settings: Any) -> Iterator[str]:
        """Yield the answer piece by piece as it comes; in one piece where the endpoint cannot do otherwise."""
        messages = [{"role": "user", "content": question}] if isinstance(question, str) else question
        yield from self._backend.stream(self.endpoint, messages, **settings)

    def delete(self) -> None:
        """Take the endpoint away, of a shared one our deployment alone."""
        self._backend.delete(self._resource)
        if self._ledger is not None:
            self._ledger.gone(self._resource)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            self.delete()
        except AzftError as failure:
            # What went wrong in the block is the cause, and must not be lost behind what followed from it.
            if error is None:
                raise
            error.add_note(_left(self._resource, failure))

    def view(self) -> View:
        """Describe the endpoint."""
        return self.endpoint.view()


class ModelDeployer:
    """Deploys registered models; the ledger, where one is given, knows of an endpoint before the backend does."""

    def __init__(self, backend: _Host, ledger: Ledger | None = None) -> None:
        self._backend = backend
        self._ledger = ledger

    def deploy(
        self, model: RegisteredModel, name: str = "", *, port: int = 0, onto: str = "", traffic: int = 0
    ) -> DeployedModel:
        """Return the endpoint once it answers; `port` 0 picks a free one, where ports can be chosen.

        `onto` is an endpoint that is there already: it gets one more deployment, called `name`, with `traffic` percent
        of its traffic, and loses nothing else. Errors: `NameTakenError` for a name that exists.
        """
        expect(model, RegisteredModel, "model", "session.register(run) returns one")
        name = name or (
            f"{DEPLOYMENT}-{uuid.uuid4().hex[:8]}" if onto else endpoint_name(model.name, uuid.uuid4().hex[:8])
        )
        if self._ledger is None:
            endpoint = self._backend.deploy(model, name, port=port, onto=onto, traffic=traffic)
            return DeployedModel(self._backend, endpoint, endpoint.resource)
        kind: ResourceKind = "deployment" if onto else "endpoint"
        with self._ledger.making(kind, f"{onto}/{name}" if onto else name, model.backend) as intent:
            try:
                endpoint = self._backend.deploy(model, name, port=port, onto=onto, traffic=traffic, tags=intent.tags)
            except BaseException as error:
                self._undone(intent.resource, error)
                raise
        return DeployedModel(self._backend, endpoint, intent.resource, self._ledger)

    def _undone(self, resource: Resource, error: BaseException) -> None:
        """Take away whatever a failed attempt has left; what cannot be taken away stays in the ledger."""
        try:
            self._backend.delete(resource)
        except AzftError as failure:
            error.add_note(_left(resource, failure))
        else:
            if self._ledger is not None:
                self._ledger.gone(resource)


def _left(resource: Resource, failure: AzftError) -> str:
    return f"{resource} may still be there, and cost money: {failure}\n  session.cleanup() tries again"
