"""What fuzzers send: JSON as nobody would write it, messages, and messages that were spoilt."""

import json
from typing import Any

from hypothesis import strategies as st

from tests.gateway.client import request

TYPES = ("request", "resume", "authenticate", "get_voters", "ping", "ready", "progress", "result")
FIELDS = (
    *request(),
    *("voter_list", "strategy", "decide", "timeout_ms", "metadata", "panel", "after_seq", "token", "traceparent"),
    *("task_id", "vote", "reason", "confidence", "capacity", "status"),
)
NUMBERS = ("0", "-0", "1", "1e400", "-1e-400", "0.1", "9" * 25, "9" * 5000, "1E2", "2147483648", "86400001")
CHARACTERS = (
    "\\u0000",
    "\\ud83d\\ude00",
    "\\n",
    '\\"',
    "\\\\",
    "\\/",
    ":",
    "{",
    "[",
    "}",
    "]",
    ",",
    "\u202e",
    "\x7f",
    "é",
)

strings = st.one_of(
    st.text(max_size=12).map(json.dumps),
    st.lists(st.sampled_from(CHARACTERS), max_size=6).map(lambda parts: '"' + "".join(parts) + '"'),
)
blanks = st.sampled_from(["", "", "", " ", "\n", "\t ", "\r\n"])
keys = st.one_of(st.sampled_from([json.dumps(field) for field in FIELDS]), strings)


def _object(members: list[tuple[str, str]], blank: str) -> str:
    return "{" + ",".join(f"{blank}{key}{blank}:{blank}{value}" for key, value in members) + blank + "}"


def _array(items: list[str], blank: str) -> str:
    return "[" + ",".join(blank + item for item in items) + blank + "]"


values = st.recursive(
    st.one_of(strings, st.sampled_from((*NUMBERS, "true", "false", "null"))),
    lambda inner: st.one_of(
        st.builds(_object, st.lists(st.tuples(keys, inner), max_size=4), blanks),
        st.builds(_array, st.lists(inner, max_size=4), blanks),
    ),
    max_leaves=10,
)
"""JSON, with keys that may be there twice."""


def _message(kind: str, more: list[tuple[str, str]], blank: str) -> str:
    first = [(json.dumps(key), json.dumps(value)) for key, value in {**request(), "type": kind}.items()]
    given = {key for key, _ in more}
    return _object([(key, value) for key, value in first if key not in given] + more, blank)


messages = st.builds(_message, st.sampled_from(TYPES), st.lists(st.tuples(keys, values), max_size=4), blanks)
"""Messages some of whose fields hold anything."""
edits = st.tuples(
    st.integers(0, 400),
    st.integers(0, 4),
    st.one_of(
        st.text(max_size=2), st.sampled_from(['"', "\\", "{", "}", "[", "]", ":", ",", "0", "e", "-", ".", "\0"])
    ),
)


def _spoilt(text: str, changes: list[tuple[int, int, str]]) -> str:
    for start, length, insert in changes:
        at = start % (len(text) + 1)
        text = text[:at] + insert + text[at + length :]
    return text


texts = st.one_of(st.text(max_size=40), values, messages, st.builds(_spoilt, messages, st.lists(edits, max_size=3)))

plain = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=128)
metadata = st.dictionaries(
    plain, st.one_of(st.none(), st.booleans(), st.integers(), plain, st.lists(plain)), max_size=4
)


def _valid(request_id: str, query: str, answer: str, timeout: int, data: dict[str, Any]) -> dict[str, Any]:
    return request(request_id, user_query=query, agent_answer=answer, timeout_ms=timeout, metadata=data)


valid_requests = st.builds(_valid, ids, plain, plain, st.integers(100, 86_400_000), metadata)
"""Requests that there is nothing wrong with."""
