"""What a chat endpoint answers, read: the model's opinion, or why there is none.

A model that doesn't answer as it must has no opinion: that is an abstention with the reason. A verdict is never looked
for in its words: they may be the words of what it judges.
"""

import json
from typing import Any

import msgspec
from msgspec import Struct

from magi.domain.messages import Confidence, Opinion, Vote
from magi.voters.escaping import escaped

MAX_SAID = 16_384
"""Characters of a model's answer. The longest reason that is kept has 4,096."""


class NotACompletion(Exception):
    """The server's answer is none of the protocol, or an error with status 200. The message is one for a reason."""


class _Message(Struct, frozen=True):
    content: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None


class _Choice(Struct, frozen=True):
    message: _Message
    finish_reason: str | None = None


class _Failure(Struct, frozen=True):
    message: str | None = None


class _Completion(Struct, frozen=True):
    choices: list[_Choice] | None = None
    error: _Failure | str | None = None


class _Refusal(Struct, frozen=True):
    """Of OpenAI, of Ollama and llama.cpp, and of vLLM."""

    error: _Failure | str | None = None
    message: str | None = None


class _Said(Struct, frozen=True, forbid_unknown_fields=True):
    reason: str
    vote: Vote
    confidence: Confidence


class _Repeated(ValueError):
    pass


_decode = msgspec.json.Decoder(_Completion).decode
_decode_refusal = msgspec.json.Decoder(_Refusal).decode
_decode_said = msgspec.json.Decoder(_Said).decode
_UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_CUT = {
    "length": "the model's answer was cut off at its limit of tokens",
    "content_filter": "the model's answer was held back by the server's content filter",
}


def read_completion(body: bytes, key: str = "") -> Opinion:
    """The model's opinion; an abstention with the reason when its answer doesn't fit. Raises NotACompletion.

    The API key is hidden wherever the server quotes it.
    """
    try:
        completion = _decode(body)
    except _UNDECODABLE as error:
        raise NotACompletion(f"the server's answer is no chat completion: {escaped(str(error))}") from None
    if completion.error is not None:
        raise NotACompletion(f"the server answered with an error: {_told(completion.error, key) or 'none named'}")
    if completion.choices is None:
        raise NotACompletion("the server's answer is no chat completion: it has no choices")
    match completion.choices:
        case [choice]:
            return _opinion(choice)
        case []:
            return Opinion.abstains("the model gave no answer")
        case several:
            return Opinion.abstains(f"the model gave {len(several)} answers instead of one")


def read_refusal(body: bytes, key: str = "") -> str:
    """What the server says of a call that it declined, escaped and short; nothing when it doesn't say it in JSON."""
    try:
        refusal = _decode_refusal(body)
    except _UNDECODABLE:
        return ""
    return _told(refusal.error or refusal.message, key)


def _told(failure: _Failure | str | None, key: str) -> str:
    words = (failure.message if isinstance(failure, _Failure) else failure) or ""
    return escaped(words.replace(key, "***") if key else words)


def _opinion(choice: _Choice) -> Opinion:
    message, ended = choice.message, choice.finish_reason
    if message.refusal:
        words = f": {escaped(message.refusal)}" if isinstance(message.refusal, str) else ""
        return Opinion.abstains(f"the model refused{words}")
    if message.tool_calls or message.function_call or ended in ("tool_calls", "function_call"):
        return Opinion.abstains("the model called a tool instead of answering")
    if ended != "stop":
        how = f"the model's answer did not end by itself: finish_reason {escaped(str(ended), 40)}"
        return Opinion.abstains(_CUT.get(ended or "", how))
    if not isinstance(message.content, str) or not message.content.strip():
        return Opinion.abstains("the model's answer is empty")
    if len(message.content) > MAX_SAID:
        return Opinion.abstains(
            f"the model's answer has {len(message.content)} characters, at most {MAX_SAID} are read"
        )
    return _said(message.content)


def _said(content: str) -> Opinion:
    try:
        said = _decode_said(content)
        json.loads(content, object_pairs_hook=_each_once)
    except _Repeated as error:
        return Opinion.abstains(f"the model's answer is ambiguous: it says {error} twice")
    except (*_UNDECODABLE, ValueError) as error:
        return Opinion.abstains(f"the model's answer doesn't fit: {escaped(str(error))}")
    return Opinion(said.vote, said.reason, said.confidence)


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    seen: dict[str, object] = {}
    for name, value in pairs:
        if name in seen:
            raise _Repeated(name)  # one of the three names: others don't come as far as here
        seen[name] = value
    return seen
