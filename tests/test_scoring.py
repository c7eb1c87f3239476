"""The scoring server: bounded, in OpenAI's words, and never left hanging (rows R1 to R4)."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil
import pytest

from azft import Endpoint, FineTuned, FineTuneSession
from azft.backends.local.endpoints import LocalEndpoints
from azft.backends.local.scoring.requests import BadRequestError, read_chat
from azft.errors import BackendError, ConfigurationError

HI = [{"role": "user", "content": "What is LoRA?"}]


@pytest.fixture(scope="module")
def endpoint(tuned: FineTuned, small_session: FineTuneSession) -> Iterator[Endpoint]:
    with small_session.deploy(tuned.model) as deployed:
        yield deployed.endpoint


@pytest.fixture
def client(endpoint: Endpoint) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{endpoint.url}/v1",
        api_key=endpoint.key,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as made:
        yield made


def post(endpoint: Endpoint, body: Any, path: str = "/v1/chat/completions", **more: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {endpoint.key}", "Content-Type": "application/json"}
    return httpx.post(endpoint.url + path, content=content, headers=headers, timeout=60, trust_env=False, **more)


def memory(endpoint: Endpoint) -> float:
    """Return the server's memory in MiB."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "azft.backends.local.scoring.server" in words and any(endpoint.name in word for word in words):
            return float(process.memory_info().rss) / 2**20
    raise AssertionError("no server")


def answers_soon(endpoint: Endpoint) -> bool:
    began = time.monotonic()
    answer = post(endpoint, {"messages": HI, "max_tokens": 4})
    return answer.status_code == 200 and time.monotonic() - began < 2


HOSTILE: list[tuple[dict[str, Any], str]] = [
    ({"temperature": 1e-45}, "temperature"),
    ({"temperature": 1e-300}, "temperature"),
    ({"temperature": -1}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"top_p": 1e-30}, "top_p"),
    ({"stop": 5}, "stop"),
    ({"stop": [""]}, "stop"),
    ({"stop": ["a", 5]}, "stop"),
    ({"stop": ["a"] * 5}, "stop"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 10**9}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"n": 2}, "n"),
    ({"seed": 2**80}, "seed"),
    ({"stream": "yes"}, "stream"),
    ({"tools": [{"type": "function"}]}, "tools"),
    ({"logprobs": True}, "logprobs"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"logit_bias": {"1": 2}}, "logit_bias"),
    ({"presence_penalty": 1}, "presence_penalty"),
    ({"max_token": 5}, "max_token"),
    ({"messages": []}, "messages"),
    ({"messages": "Hi"}, "messages"),
    ({"messages": [{"role": "user"}]}, "messages"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages"),
    ({"messages": [{"role": "user", "content": "x " * 30_000}]}, "messages"),
]


@pytest.mark.parametrize(("change", "parameter"), HOSTILE, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("stream", [False, True])
def test_hostile_settings_are_refused_by_name(
    endpoint: Endpoint, change: dict[str, Any], parameter: str, stream: bool
) -> None:
    answer = post(endpoint, {"messages": HI, "stream": stream, **change})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == parameter


def test_after_all_of_them_the_next_request_is_answered(endpoint: Endpoint) -> None:
    assert answers_soon(endpoint)


def test_a_large_body_is_refused_and_leaves_no_memory(endpoint: Endpoint) -> None:
    before = memory(endpoint)
    body = json.dumps({"messages": [{"role": "user", "content": "x" * (50 << 20)}]}).encode()
    try:
        assert post(endpoint, body).status_code == 413
    except (httpx.WriteError, httpx.ReadError):
        assert answers_soon(endpoint)  # It hung up before the whole of it had been sent.
    assert post(endpoint, {"messages": [{"role": "user", "content": "y" * (3 << 20)}]}).status_code == 400
    assert memory(endpoint) < before + 200
    assert answers_soon(endpoint)


@pytest.mark.slow
def test_silent_connections_are_closed_and_block_nobody(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    host, port = endpoint.url.removeprefix("http://").split(":")
    silent = [socket.create_connection((host, int(port)), timeout=30) for _ in range(200)]
    try:
        assert answers_soon(endpoint)
        silent[0].settimeout(30)
        assert silent[0].recv(1) == b""
    finally:
        for one in silent:
            one.close()


def test_dropped_streams_end_their_work(endpoint: Endpoint) -> None:
    host, port = endpoint.url.removeprefix("http://").split(":")
    body = json.dumps({"messages": HI, "stream": True, "max_tokens": 900}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {endpoint.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    for _ in range(8):
        with socket.create_connection((host, int(port)), timeout=10) as one:
            one.sendall(head.encode() + body)
            one.recv(64)
    time.sleep(0.5)
    assert answers_soon(endpoint)


@pytest.mark.slow
def test_fifty_at_once_are_served_or_told_to_come_back(endpoint: Endpoint) -> None:
    before = memory(endpoint)
    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda _: post(endpoint, {"messages": HI, "max_tokens": 4}).status_code, range(50)))
    assert set(found) <= {200, 429}
    assert found.count(200) > 0
    assert memory(endpoint) < before + 200
    assert answers_soon(endpoint)


class TestOpenAIClient:
    def test_models_are_listed_and_found(self, client: openai.OpenAI) -> None:
        names = [model.id for model in client.models.list()]
        assert len(names) == 1
        assert client.models.retrieve(names[0]).id == names[0]
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("gpt-5")

    def test_an_answer_cut_at_its_limit_says_length(self, client: openai.OpenAI) -> None:
        found = client.chat.completions.create(model="x", messages=HI, max_tokens=2)  # type: ignore[arg-type]
        assert found.choices[0].finish_reason == "length"
        assert found.usage is not None
        assert found.usage.completion_tokens == 2

    def test_a_stream_is_the_same_answer_and_brings_its_usage(self, client: openai.OpenAI) -> None:
        whole = client.chat.completions.create(model="x", messages=HI, max_tokens=12)  # type: ignore[arg-type]
        options = {"include_usage": True}
        chunks = list(
            client.chat.completions.create(  # type: ignore[call-overload]
                model="x", messages=HI, max_tokens=12, stream=True, stream_options=options
            )
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text.strip() == whole.choices[0].message.content
        assert chunks[-1].usage == whole.usage
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == whole.choices[0].finish_reason

    def test_text_comes_in_parts_and_stops_at_a_stop(self, client: openai.OpenAI) -> None:
        parts = [{"type": "text", "text": "What is "}, {"type": "text", "text": "LoRA?"}]
        said = [{"role": "user", "content": parts}]
        whole = client.chat.completions.create(model="x", messages=said, max_tokens=30)  # type: ignore[arg-type]
        plain = client.chat.completions.create(model="x", messages=HI, max_tokens=30)  # type: ignore[arg-type]
        text = whole.choices[0].message.content or ""
        assert text == plain.choices[0].message.content
        stop = text.split()[1]
        cut = client.chat.completions.create(model="x", messages=HI, max_tokens=30, stop=stop)  # type: ignore[arg-type]
        assert cut.choices[0].finish_reason == "stop"
        assert stop not in (cut.choices[0].message.content or "")

    def test_a_seed_gives_the_same_answer_again(self, client: openai.OpenAI) -> None:
        found = {
            client.chat.completions.create(model="x", messages=HI, temperature=1.5, seed=7, max_tokens=12)  # type: ignore[arg-type]
            .choices[0]
            .message.content
            for _ in range(3)
        }
        assert len(found) == 1

    def test_refusals_have_the_clients_own_errors(self, client: openai.OpenAI, endpoint: Endpoint) -> None:
        with pytest.raises(openai.BadRequestError, match="'n' must be 1"):
            client.chat.completions.create(model="x", messages=HI, n=3)  # type: ignore[arg-type]
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="wrong").models.list()
        with pytest.raises(openai.NotFoundError):
            client.embeddings.create(model="x", input="Hi")


def test_a_setting_that_is_misspelt_is_refused(endpoint: Endpoint, small_session: FineTuneSession) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'max_tokens'"):
        small_session.backend.ask(endpoint, HI, max_token=5)


@pytest.mark.parametrize("value", [None, [], 5, "x", {"messages": 1}, {"messages": [1]}, {"messages": [{}]}])
def test_bodies_of_another_shape_are_bad_requests(value: Any) -> None:
    with pytest.raises(BadRequestError):
        read_chat(value)


def test_a_server_that_is_killed_while_it_loads_says_so(
    tuned: FineTuned, small_session: FineTuneSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row R4: the signal is known and said, and memory is named."""
    endpoints = LocalEndpoints(small_session.backend.home)  # type: ignore[attr-defined]

    def kill() -> None:
        for _ in range(400):
            for process in psutil.process_iter(["cmdline"]):
                words = process.info["cmdline"] or []
                if "azft.backends.local.scoring.server" in words and any("doomed" in word for word in words):
                    process.kill()
                    return
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(BackendError, match="killed by SIGKILL, as happens when the machine's memory runs out"):
        endpoints.deploy(tuned.model, "doomed")
    killer.join()
    assert not (Path(small_session.folder) / "endpoints" / "doomed").exists()
