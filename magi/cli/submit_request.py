"""What `magi submit` sends: the request of PROTOCOL §1, made of what stands on the command line. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

TIMEOUT_MS = 30_000
"""The protocol's default."""


def parse_metadata(text: str) -> dict[str, Any]:
    """A JSON object. Raises ValueError."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ValueError(f"expected a JSON object: {error}") from None


def parse_voters(text: str) -> list[str]:
    """Names separated by commas. Raises ValueError when there is none."""
    voters = [name.strip() for name in text.split(",") if name.strip()]
    if not voters:
        raise ValueError("expected the names of voters, separated by commas")
    return voters


def request_frame(
    request_id: str,
    query: str,
    answer: str,
    *,
    voters: Sequence[str] = (),
    strategy: str | Mapping[str, Any] | None = None,
    decide: str | None = None,
    timeout_ms: int | None = None,
    metadata: dict[str, Any] | None = None,
    panel: str | None = None,
) -> str:
    """The `request` message. What isn't given is left to the gateway's defaults."""
    message: dict[str, Any] = {
        "type": "request",
        "request_id": request_id,
        "user_query": query,
        "agent_answer": answer,
    }
    given = {
        "voter_list": list(voters) or None,
        "strategy": strategy,
        "decide": decide,
        "timeout_ms": timeout_ms,
        "metadata": metadata,
        "panel": panel,
    }
    message |= {key: value for key, value in given.items() if value is not None}
    return msgspec.json.encode(message).decode()
