"""How models are deployed: the settings of a connection, checked before anything is made."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from azft.domain.resource import RegisteredModel
from azft.errors import ConfigurationError

LONGEST_REQUEST = 180.0
"""Seconds; Azure refuses more (azure-docs 123307)."""
_MODES = ("key", "aad_token", "aml_token")


@frozen
class Serving:
    """How models are deployed: machines, seconds of a request and until the first probe, sign-in, and image.

    `environment` is an Azure ML environment that takes the place of the model's own image.
    """

    instance_type: str = ""
    instances: int = 1
    request_timeout: float = 90.0
    auth_mode: str = "key"
    probe_delay: int = 600
    environment: str = ""

    def checked(self) -> Serving:
        """Return itself; `ConfigurationError` for a value that Azure would refuse."""
        if not 0 < self.request_timeout <= LONGEST_REQUEST:
            raise ConfigurationError(
                f"request_timeout is {self.request_timeout}, expected up to {LONGEST_REQUEST:g} seconds"
            )
        if self.auth_mode not in _MODES:
            raise ConfigurationError(f"auth_mode is {self.auth_mode!r}, expected one of {', '.join(_MODES)}")
        if self.instances < 1 or self.probe_delay < 1:
            raise ConfigurationError(f"instances={self.instances} and probe_delay={self.probe_delay} must be 1 or more")
        return self

    def size_for(self, model: RegisteredModel, allowed: Sequence[str]) -> str:
        """Return the machine size for a model: one of `allowed`, which is empty where nobody knows them."""
        given = self.instance_type
        if not given and not allowed:
            raise ConfigurationError(
                f"no machine size to deploy {model.name} on",
                hint="azft.connect('azureml', instance_type='Standard_...')",
            )
        size = given or allowed[0]
        if allowed and size.lower() not in {known.lower() for known in allowed}:
            raise ConfigurationError(f"{model.name} cannot be deployed on {size}", hint=f"one of {', '.join(allowed)}")
        return size
