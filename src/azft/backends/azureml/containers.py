"""The container that serves plain weights with OpenAI's face: vLLM's own image, told where Azure has put the model.

Azure mounts a deployment's model and names the folder in AZUREML_MODEL_DIR; vLLM listens on port 8000 and says at
/health whether it answers (vLLM, OpenAI-compatible server, 2026; azure-docs, Use a custom container, 2025).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from azft.backends.azureml.client import Clients
from azft.backends.azureml.errors import absent, translated

NAME = "azft-vllm"
IMAGE = "vllm/vllm-openai:v0.30.0"
"""The newest one that was seen on Docker Hub (2026-09-26)."""
PORT = 8000
SERVED = "model"
"""How a request names the model."""
ARGUMENTS = "VLLM_ARGS"
_DOCKERFILE = """FROM {image}
ENTRYPOINT ["/bin/sh", "-c", "exec python3 -m vllm.entrypoints.openai.api_server --port {port} \\
--served-model-name {served} \\
--model \\"$(dirname \\"$(find -L \\"$AZUREML_MODEL_DIR\\" -name config.json | head -n 1)\\")\\" ${arguments}"]
"""


def dockerfile(image: str) -> str:
    """Return the file that Azure builds the container by."""
    return _DOCKERFILE.format(image=image, port=PORT, served=SERVED, arguments=ARGUMENTS)


def container(clients: Clients, image: str) -> str:
    """Return how a deployment names the environment, once the workspace has it; its image is built once."""
    text = dockerfile(image)
    version = hashlib.sha256(text.encode()).hexdigest()[:16]
    with translated(f"environment {NAME}"):
        operations = clients.workspace.environments
        if absent(lambda: operations.get(NAME, version)) is None:
            with TemporaryDirectory(prefix="azft-") as folder:
                Path(folder, "Dockerfile").write_text(text, encoding="utf-8")
                operations.create_or_update(_entity(version, folder))
    return f"azureml:{NAME}:{version}"


def _entity(version: str, folder: str) -> Any:
    from azure.ai.ml.entities import BuildContext, Environment

    health = {"port": PORT, "path": "/health"}
    return Environment(
        name=NAME,
        version=version,
        build=BuildContext(path=folder),
        inference_config={
            "liveness_route": health,
            "readiness_route": health,
            "scoring_route": {"port": PORT, "path": "/"},
        },
        description="vLLM's server of OpenAI's chat completions, for models of azft",
    )
