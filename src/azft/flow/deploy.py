"""Step 8: an endpoint that answers, and goes when the block ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from azft.domain.resource import Endpoint, RegisteredModel, Resource
from azft.ports import Disposer, EndpointService


class _Host(EndpointService, Disposer, Protocol):
    """What deploying needs: to start an endpoint, ask it, and take it away."""


class DeployedModel:
    """An endpoint as a context manager: `with` takes it away on any way out."""

    def __init__(self, backend: _Host, endpoint: Endpoint, when_gone: Callable[[Resource], None]) -> None:
        self._backend = backend
        self._when_gone = when_gone
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

    def delete(self) -> None:
        """Take the endpoint away."""
        resource = Resource("endpoint", self.endpoint.name, self.endpoint.model.backend)
        self._backend.delete(resource)
        self._when_gone(resource)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.delete()

    def __str__(self) -> str:
        return str(self.endpoint)


class ModelDeployer:
    """Deploys registered models; `when_made` and `when_gone` are told of every endpoint."""

    def __init__(
        self,
        backend: _Host,
        *,
        when_made: Callable[[Resource], None] = lambda _resource: None,
        when_gone: Callable[[Resource], None] = lambda _resource: None,
    ) -> None:
        self._backend = backend
        self._when_made = when_made
        self._when_gone = when_gone

    def deploy(self, model: RegisteredModel, name: str = "", *, port: int = 0) -> DeployedModel:
        """Return the endpoint once it answers; `port` 0 picks a free one, where ports can be chosen."""
        endpoint = self._backend.deploy(model, name, port=port)
        self._when_made(Resource("endpoint", endpoint.name, model.backend))
        return DeployedModel(self._backend, endpoint, self._when_gone)
