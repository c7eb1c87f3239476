"""The routes."""

from __future__ import annotations

import hmac
import time
import uuid
from collections.abc import Iterator
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from azft.backends.local.scoring.generator import Generator
from azft.backends.local.scoring.requests import BadRequestError, Question, read_chat, read_score


def build_app(generator: Generator, *, model: str, key: str) -> FastAPI:
    """Return the application; every route but `GET /` wants `Authorization: Bearer KEY`."""
    app = FastAPI(title=f"azft endpoint of {model}", docs_url=None, redoc_url=None, openapi_url=None)
    wanted = f"Bearer {key}".encode()

    @app.middleware("http")
    async def _authorized(request: Request, forward: Any) -> Any:
        given = request.headers.get("authorization", "").encode()
        if request.url.path != "/" and not hmac.compare_digest(given, wanted):
            return _error(401, "the key is missing or wrong", "authentication_error")
        return await forward(request)

    @app.exception_handler(BadRequestError)
    async def _bad_request(_request: Request, error: BadRequestError) -> JSONResponse:
        return _error(400, str(error), "invalid_request_error")

    @app.get("/")
    def _alive() -> dict[str, str]:
        return {"status": "healthy", "model": model}

    @app.post("/score")
    async def _score(request: Request) -> Any:
        questions, nested = read_score(await _json(request))
        answers = [{"output": (await _threaded(generator, question))[0]} for question in questions]
        return answers if nested else answers[0]

    @app.post("/v1/chat/completions")
    async def _chat(request: Request) -> Any:
        question = read_chat(await _json(request))
        identity = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}
        if question.stream:
            return StreamingResponse(_chunks(generator, question, identity), media_type="text/event-stream")
        text, read, written = await _threaded(generator, question)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        return {**identity, "object": "chat.completion", "choices": [choice], "usage": usage}

    return app


async def _threaded(generator: Generator, question: Question) -> tuple[str, int, int]:
    from starlette.concurrency import run_in_threadpool

    return await run_in_threadpool(generator.answer, question)


async def _json(request: Request) -> Any:
    try:
        return orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error


def _chunks(generator: Generator, question: Question, identity: dict[str, Any]) -> Iterator[bytes]:
    def chunk(delta: dict[str, str], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return b"data: " + orjson.dumps({**identity, "object": "chat.completion.chunk", "choices": [choice]}) + b"\n\n"

    yield chunk({"role": "assistant", "content": ""})
    for piece in generator.pieces(question):
        yield chunk({"content": piece})
    yield chunk({}, "stop")
    yield b"data: [DONE]\n\n"


def _error(status: int, message: str, kind: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "type": kind}}, status_code=status)
