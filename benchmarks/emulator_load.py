"""The emulator under load: 16 clients at once, 2,000 requests, and which answers were not what they should be.

It also says how long a start takes and what 200 more jobs cost in time and memory. Every client makes, reads, lists and
deletes things of its own, and asks for what is missing, unknown and not allowed; which status is right is known.

    python -W ignore benchmarks/emulator_load.py [--clients 16] [--requests 2000] [--jobs 200]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import requests
from attrs import frozen
from azure.identity import DefaultAzureCredential

from azft.testing.emulator import AzureMLEmulator, Outcome

VERSION = "2024-04-01"
CURATED = "azureml://registries/azureml/environments/sklearn-1.5/labels/latest"
COMMAND = {
    "jobType": "Command",
    "command": "echo hello",
    "environmentId": CURATED,
    "computeId": "cpus",
    "experimentName": "load",
}


@frozen
class Asked:
    """One request, and the statuses that are right."""

    method: str
    path: str
    right: tuple[int, ...]
    body: dict[str, Any] | None = None
    version: str = VERSION
    signed: bool = True


def round_of(client: int, number: int) -> Iterator[Asked]:
    """Yield what a client asks in one round, in order; 20 requests."""
    name = f"c{client}-{number}"
    cluster = {
        "location": "eastus",
        "properties": {
            "computeType": "AmlCompute",
            "properties": {"vmSize": "Standard_DS3_v2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 2}},
        },
    }
    data = {"properties": {"dataType": "uri_file", "dataUri": "https://example.com/a.csv", "tags": {"n": name}}}
    environment = {"properties": {"image": "python:3.12"}}
    component = {
        "properties": {
            "componentSpec": {
                "name": name,
                "version": "1",
                "type": "command",
                "command": "true",
                "environment": CURATED,
            }
        }
    }
    yield Asked("PUT", f"/computes/{name}x", (200, 201, 202), cluster)
    yield Asked("GET", f"/computes/{name}x", (200,))
    yield Asked("GET", "/computes", (200,))
    yield Asked("PUT", f"/data/{name}/versions/1", (200, 201), data)
    yield Asked("GET", f"/data/{name}/versions/1", (200,))
    yield Asked("GET", f"/data/{name}", (200,))
    yield Asked("PUT", f"/environments/{name}/versions/1", (200, 201), environment)
    yield Asked("GET", f"/environments/{name}/versions/1", (200,))
    yield Asked("PUT", f"/components/{name}/versions/1", (200, 201), component)
    yield Asked("GET", f"/components/{name}/versions", (200,))
    yield Asked("PUT", f"/jobs/{name}", (200, 201), {"properties": COMMAND})
    yield Asked("GET", f"/jobs/{name}", (200,))
    yield Asked("GET", "/jobs", (200,))
    yield Asked("GET", f"/models/{name}/versions/1", (404,))
    yield Asked("PUT", f"/models/{name}/versions/1", (400,), {"properties": {"modelUri": "nowhere"}})
    yield Asked("GET", "/computes", (400,), version="1999-01-01")
    yield Asked("GET", "/computes", (401,), signed=False)
    yield Asked("GET", "/privateEndpointConnections", (501,))
    yield Asked("DELETE", f"/data/{name}/versions/1", (200, 204))
    yield Asked("GET", f"/data/{name}/versions/1", (404,))


def load(emulator: AzureMLEmulator, clients: int, total: int) -> tuple[list[str], list[float]]:
    """Ask, and return the answers that were wrong and how long each took."""
    emulator.script(Outcome(seconds=0), always=True)
    base = f"https://management.azure.com{emulator.world.id}"
    token = DefaultAzureCredential().get_token("https://management.azure.com/.default").token
    cluster = next(round_of(0, 0)).body
    signed = {"Authorization": f"Bearer {token}"}
    requests.put(f"{base}/computes/cpus?api-version={VERSION}", json=cluster, headers=signed, timeout=60)

    def one(client: int) -> tuple[list[str], list[float]]:
        wrong: list[str] = []
        seconds: list[float] = []
        with requests.Session() as session:
            for number in range(total // clients // 20 + 1):
                for asked in round_of(client, number):
                    if len(seconds) == total // clients:
                        break
                    began = time.perf_counter()
                    answer = session.request(
                        asked.method,
                        f"{base}{asked.path}?api-version={asked.version}",
                        json=asked.body,
                        headers=signed if asked.signed else {},
                        timeout=60,
                    )
                    seconds.append(time.perf_counter() - began)
                    if answer.status_code not in asked.right:
                        wrong.append(f"{asked.method} {asked.path}: {answer.status_code} {answer.text[:200]}")
        return wrong, seconds

    with ThreadPoolExecutor(clients) as pool:
        found = list(pool.map(one, range(clients)))
    return [line for wrong, _ in found for line in wrong], [took for _, seconds in found for took in seconds]


def measured(clients: int, total: int, jobs: int) -> dict[str, Any]:
    """Return the figures."""
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with AzureMLEmulator(Path(folder) / "azure") as emulator:
            ready = time.perf_counter() - began
            began = time.perf_counter()
            wrong, seconds = load(emulator, clients, total)
            took = time.perf_counter() - began
            before = process.memory_info().rss
            base = f"https://management.azure.com{emulator.world.id}"
            token = DefaultAzureCredential().get_token("https://management.azure.com/.default").token
            signed = {"Authorization": f"Bearer {token}"}
            began = time.perf_counter()
            for number in range(jobs):
                url = f"{base}/jobs/m{number}?api-version={VERSION}"
                requests.put(url, json={"properties": COMMAND}, headers=signed, timeout=60).raise_for_status()
            per_job = (time.perf_counter() - began) / max(jobs, 1)
            grown = process.memory_info().rss - before
    return {
        "ready_s": round(ready, 2),
        "clients": clients,
        "requests": len(seconds),
        "wrong": wrong,
        "requests_per_s": round(len(seconds) / took),
        "median_ms": round(statistics.median(seconds) * 1000),
        "p99_ms": round(statistics.quantiles(seconds, n=100)[98] * 1000),
        "jobs": jobs,
        "ms_per_job": round(per_job * 1000),
        "mib_for_jobs": round(grown / 2**20, 1),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=200)
    told = parser.parse_args()
    print(json.dumps(measured(told.clients, told.requests, told.jobs), indent=2))


if __name__ == "__main__":
    main()
