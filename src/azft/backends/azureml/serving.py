"""How models are deployed: the settings of a connection, checked before anything is made."""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen

from azft.backends.azureml.containers import IMAGE
from azft.domain.resource import RegisteredModel
from azft.errors import ConfigurationError
from azft.snapshot import virtual_machines

LONGEST_REQUEST = 180.0
"""Seconds; Azure refuses more (azure-docs 123307)."""
SERVERS = ("", "vllm")
_MODES = ("key", "aad_token", "aml_token")
_PLAIN = re.compile(r"[A-Za-z0-9 _.,:=/@-]*")
"""What has no meaning of its own to a shell."""


@frozen
class Serving:
    """How models are deployed: machines, seconds of a request and until the first probe, sign-in, and image.

    `environment` is an Azure ML environment that takes the place of the model's own image. `server` is "vllm" for
    vLLM's container with OpenAI's face, of the image `image` and with more `arguments` of its command line.
    """

    instance_type: str = ""
    instances: int = 1
    request_timeout: float = 90.0
    auth_mode: str = "key"
    probe_delay: int = 600
    environment: str = ""
    server: str = ""
    image: str = IMAGE
    arguments: str = ""

    def checked(self) -> Serving:
        """Return itself; `ConfigurationError` for a value that Azure would refuse."""
        if not 0 < self.request_timeout <= LONGEST_REQUEST:
            raise ConfigurationError(
                f"request_timeout is {self.request_timeout}, expected up to {LONGEST_REQUEST:g} seconds"
            )
        if self.auth_mode not in _MODES:
            raise ConfigurationError(f"auth_mode is {self.auth_mode!r}, expected one of {', '.join(_MODES)}")
        if self.server not in SERVERS:
            known = ", ".join(map(repr, SERVERS))
            raise ConfigurationError(f"server is {self.server!r}, expected one of {known}")
        if self.server and self.environment:
            raise ConfigurationError("server= and environment= both say what serves", hint="leave one of them out")
        for name, said in (("server_image", self.image), ("server_arguments", self.arguments)):
            if not _PLAIN.fullmatch(said):
                raise ConfigurationError(
                    f"{name} is {said!r}: only letters, digits, spaces and any of - _ . , : = / @ are taken"
                )
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
        known = next((one for one in virtual_machines() if one.name.lower() == size.lower()), None)
        if self.server and known is not None and not known.gpus:
            raise ConfigurationError(
                f"{size} has no GPU, which {self.server} needs", hint="give instance_type= a size with one"
            )
        return size
