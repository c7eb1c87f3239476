"""A throwaway certificate authority, and one certificate for every host that is emulated."""

from __future__ import annotations

import ssl
from pathlib import Path

HOSTS = (
    "management.azure.com",
    "login.microsoftonline.com",
    "*.api.azureml.ms",
    "*.experiments.azureml.net",
    "*.blob.core.windows.net",
    "*.{region}.inference.ml.azure.com",
)


def emulated_hosts(region: str) -> tuple[str, ...]:
    """Return the names, wildcards included, that the emulator answers for."""
    return tuple(host.format(region=region) for host in HOSTS)


def is_emulated(host: str, region: str) -> bool:
    """Whether the emulator answers for the host.

    >>> is_emulated("eastus.api.azureml.ms", "eastus"), is_emulated("a.b.api.azureml.ms", "eastus")
    (True, False)
    """
    _first, _dot, rest = host.lower().partition(".")
    return host.lower() in emulated_hosts(region) or f"*.{rest}" in emulated_hosts(region)


def make_certificates(folder: Path, region: str) -> tuple[Path, ssl.SSLContext]:
    """Write the authority's certificate, and return its file and the server's context; no private key is kept."""
    import trustme

    authority = trustme.CA()
    path = folder / "ca.pem"
    authority.cert_pem.write_to_path(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*emulated_hosts(region)).configure_cert(context)
    return path, context
