"""A model's server for tests: what the chat completions protocol answers, whatever a test wants the model to say."""

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

GOOD = {"reason": "It has tests.", "vote": "pass", "confidence": 0.75}


def completion(content: Any = GOOD, finish_reason: str | None = "stop", **message: Any) -> dict[str, Any]:
    """A chat completion whose content is this text, or this as JSON."""
    text = content if isinstance(content, str) or content is None else json.dumps(content)
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "m-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None, **message},
                "logprobs": None,
                "finish_reason": finish_reason,
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }


def says(content: Any = GOOD, finish_reason: str | None = "stop", **message: Any) -> Callable[[], web.Response]:
    """Answer with that completion."""
    return lambda: web.json_response(completion(content, finish_reason, **message))


def declines(status: int, message: str = "", **headers: str) -> Callable[[], web.Response]:
    """Answer with an error in the protocol's form."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    error = {"error": {"message": message, "type": "some_error", "param": None, "code": None}}
    return lambda: web.json_response(error, status=status, headers=named)
