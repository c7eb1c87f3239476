"""The routes, in Azure's words and in OpenAI's; work that nobody waits for ends."""

from __future__ import annotations

import asyncio
import hmac
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import closing, suppress
from functools import cache
from typing import Any, TypeVar

import orjson
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from azft.backends.local.scoring.generator import Answer, GaveUpError, Generator, Prompt
from azft.backends.local.scoring.limits import MOST_WAITING, RefusedError, Waiting, json_of
from azft.backends.local.scoring.requests import BadRequestError, Question, read_chat, read_score

GONE_EVERY = 0.2
"""Seconds between two looks whether a client is still there."""
T = TypeVar("T")


def build_app(generator: Generator, *, model: str, key: str) -> FastAPI:
    """Return the application; every route but `GET /` wants `Authorization: Bearer KEY`."""
    app = FastAPI(title=f"azft endpoint of {model}", docs_url=None, redoc_url=None, openapi_url=None)
    wanted = f"Bearer {key}".encode()
    begun = int(time.time())
    waiting = Waiting()

    @app.middleware("http")
    async def _authorized(request: Request, forward: Any) -> Any:
        given = request.headers.get("authorization", "").encode("utf-8", "replace")
        if request.url.path != "/" and not hmac.compare_digest(given, wanted):
            return _error(401, "the key is missing or wrong", "authentication_error", code="invalid_api_key")
        return await forward(request)

    _answer_errors(app)

    @app.get("/")
    def _alive() -> dict[str, str]:
        return {"status": "healthy", "model": model}

    @app.get("/v1/models")
    def _models() -> dict[str, Any]:
        return {"object": "list", "data": [_model()]}

    @app.get("/v1/models/{name:path}")
    def _one_model(name: str) -> Any:
        if name != model:
            said = f"there is no model {name!r} here, but {model!r}"
            return _error(404, said, "invalid_request_error", code="model_not_found")
        return _model()

    def _model() -> dict[str, Any]:
        return {"id": model, "object": "model", "created": begun, "owned_by": "azft"}

    @app.post("/score")
    async def _score(request: Request) -> Any:
        questions, nested = read_score(await json_of(request))
        async with waiting.place():
            answers = [{"output": (await _answered(request, generator, one))[1].text} for one in questions]
        return answers if nested else answers[0]

    @app.post("/v1/chat/completions")
    async def _chat(request: Request) -> Any:
        question = read_chat(await json_of(request))
        identity = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}
        if question.stream:
            # Everything that can be wrong is found before the first byte: a status cannot be taken back.
            prompt = await _aside(lambda: generator.prompt(question))
            waiting.check()
            chunks = _chunks(generator, prompt, identity, waiting)
            return StreamingResponse(chunks, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        async with waiting.place():
            prompt, answer = await _answered(request, generator, question)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": answer.text, "refusal": None},
            "logprobs": None,
            "finish_reason": answer.finish_reason,
        }
        return {**identity, "object": "chat.completion", "choices": [choice], "usage": _usage(prompt, answer)}

    return app


def _answer_errors(app: FastAPI) -> None:
    """Answer whatever is raised in OpenAI's form."""

    @app.exception_handler(BadRequestError)
    async def _bad_request(_request: Request, error: BadRequestError) -> JSONResponse:
        return _error(400, str(error), "invalid_request_error", parameter=error.parameter)

    @app.exception_handler(RefusedError)
    async def _refused(_request: Request, error: RefusedError) -> JSONResponse:
        return _error(error.status, str(error), error.kind)

    @app.exception_handler(Exception)
    async def _failed(_request: Request, error: Exception) -> JSONResponse:
        return _error(500, f"the model failed: {type(error).__name__}: {error}", "server_error")

    @app.exception_handler(404)
    async def _unknown(request: Request, _error_: Any) -> JSONResponse:
        return _error(404, f"there is no {request.method} {request.url.path} here", "invalid_request_error")


async def _answered(request: Request, generator: Generator, question: Question) -> tuple[Prompt, Answer]:
    """Return the answer; the work ends when the client has gone."""
    prompt = await _aside(lambda: generator.prompt(question))
    unwanted = threading.Event()
    work = asyncio.ensure_future(_aside(lambda: generator.answer(prompt, unwanted)))
    try:
        while not (await asyncio.wait({work}, timeout=GONE_EVERY))[0]:
            if await request.is_disconnected():
                unwanted.set()
    finally:
        if not work.done():
            unwanted.set()
    try:
        return prompt, work.result()
    except GaveUpError:
        raise RefusedError(499, "the client has gone", "client_error") from None


async def _aside(call: Callable[[], T]) -> T:
    """Run something that takes its time in a thread, as many at once as may wait, so that all are heard."""
    return await to_thread.run_sync(call, limiter=_threads())


@cache
def _threads() -> CapacityLimiter:
    """Room for everybody who may wait, and for those who only have their question read."""
    return CapacityLimiter(2 * MOST_WAITING)


async def _chunks(
    generator: Generator, prompt: Prompt, identity: dict[str, Any], waiting: Waiting
) -> AsyncIterator[bytes]:
    """Yield the answer as events; if the client goes, this is closed, and so is the work."""

    def event(body: dict[str, Any]) -> bytes:
        return b"data: " + orjson.dumps({**identity, "object": "chat.completion.chunk", **body}) + b"\n\n"

    def chunk(delta: dict[str, str], reason: str | None = None) -> bytes:
        usage = {"usage": None} if prompt.question.with_usage else {}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return event({"choices": [choice], **usage})

    unwanted, answer = threading.Event(), Answer()
    async with waiting.place():
        try:
            yield chunk({"role": "assistant", "content": ""})
            async for piece in _pieces(generator, prompt, unwanted, answer):
                yield chunk({"content": piece})
            yield chunk({}, answer.finish_reason)
            if prompt.question.with_usage:
                yield event({"choices": [], "usage": _usage(prompt, answer)})
        except GaveUpError:
            return
        except Exception as error:  # noqa: BLE001 - the status is sent, so that an event must say it
            said = {"message": f"the model failed: {type(error).__name__}: {error}", "type": "server_error"}
            yield b"data: " + orjson.dumps({"error": said}) + b"\n\n"
        finally:
            unwanted.set()
    yield b"data: [DONE]\n\n"


async def _pieces(
    generator: Generator, prompt: Prompt, unwanted: threading.Event, answer: Answer
) -> AsyncIterator[str]:
    """Yield the pieces that one thread takes from the model; it takes no more once the answer is unwanted."""
    loop = asyncio.get_running_loop()
    come: asyncio.Queue[str | BaseException | None] = asyncio.Queue()

    def take() -> None:
        ended: BaseException | None = None
        try:
            with closing(generator.pieces(prompt, unwanted, answer)) as pieces:
                for piece in pieces:
                    if unwanted.is_set():
                        return
                    if piece:
                        loop.call_soon_threadsafe(come.put_nowait, piece)
        except BaseException as error:  # noqa: BLE001 - it is raised again by whoever waits
            ended = error
        finally:
            with suppress(RuntimeError):  # The server has stopped, and nobody waits any more.
                loop.call_soon_threadsafe(come.put_nowait, ended)

    threading.Thread(target=take, daemon=True).start()
    while (piece := await come.get()) is not None:
        if isinstance(piece, BaseException):
            raise piece
        yield piece


def _usage(prompt: Prompt, answer: Answer) -> dict[str, int]:
    read, written = prompt.length, answer.tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _error(status: int, message: str, kind: str, *, parameter: str = "", code: str | None = None) -> JSONResponse:
    said = {"message": message, "type": kind, "param": parameter or None, "code": code}
    return JSONResponse({"error": said}, status_code=status)
