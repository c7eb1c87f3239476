"""Web pages that come in place of Azure's answers: from a proxy, a network's sign-in, a gateway under maintenance.

A page that comes with status 200 would pass for an answer: a job would be taken for canceled, an endpoint for deleted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_TITLE = re.compile(r"<title>([^<]{1,200})</title>", re.IGNORECASE)
_HEAD = 20
"""Characters by which a page is known."""


def title_of(text: str) -> str | None:
    """Return the title of a page, empty for one without, None for a text that is none.

    >>> title_of(" <!DOCTYPE html><html><head><title>Sign in</title></head></html>"), title_of("{}")
    ('Sign in', None)
    """
    if not text.lstrip()[:_HEAD].lower().startswith(("<!doctype html", "<html")):
        return None
    found = _TITLE.search(text)
    return " ".join(found[1].split()) if found else ""


def page_behind(error: BaseException | None) -> str | None:
    """Return the title of the page that an error comes from, None if it comes from something else."""
    for one in causes(error):
        told = one.doc if isinstance(one, json.JSONDecodeError) else str(getattr(one, "message", ""))
        for text in (told, _body(one)):
            title = title_of(text)
            if title is not None:
                return title
    return None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it came from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def refusing_pages() -> Any:
    """Return a policy for the SDK's clients that takes no page for an answer."""
    from azure.core.exceptions import HttpResponseError
    from azure.core.pipeline.policies import SansIOHTTPPolicy

    class RefusingPages(SansIOHTTPPolicy[Any, Any]):
        def on_response(self, request: Any, response: Any) -> None:
            answer = response.http_response
            kind = str(answer.headers.get("content-type", ""))
            if answer.status_code < _REFUSED and kind.lower().startswith("text/html"):
                answer.read()  # those of long operations come as a stream
                raise HttpResponseError(message=answer.text(), response=answer)

    return RefusingPages()


_REFUSED = 400


def _body(error: BaseException) -> str:
    """Return the text of the answer that an error is about, empty where there is none or it was not read."""
    from azure.core.exceptions import AzureError

    body = getattr(getattr(error, "response", None), "text", None)
    try:
        return str(body()) if callable(body) else ""
    except (AzureError, AttributeError, UnicodeError):
        return ""
