"""What each failure is to a client."""

import msgspec
import pytest
from structlog.testing import capture_logs

from magi.domain.errors import NoVoters, Refused
from magi.eventstore.bus import NoAck, NoStream, Rejected
from magi.eventstore.history import AppendConflict, CorruptHistory, StoreUnavailable
from magi.eventstore.notices import Refusal
from magi.gateway import errors, wire


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoVoters("nobody"), "no_voters"),
        (NoAck("no answer"), "unavailable"),
        (NoStream("no leader"), "unavailable"),
        (StoreUnavailable("30 s"), "unavailable"),
        (AppendConflict("somebody else"), "unavailable"),
        (Rejected(503, 10077, "maximum messages exceeded"), "overloaded"),
        (Rejected(400, 10054, "message size exceeds maximum allowed"), "too_large"),
        (CorruptHistory("a hole"), "internal"),
        (ZeroDivisionError("a bug"), "internal"),
    ],
)
def test_each_failure_has_its_code(error: Exception, code: str) -> None:
    assert errors.of(error).code == code


@pytest.mark.parametrize("code", ["rate_limited", "overloaded", "unavailable"])
def test_what_passes_by_itself_is_retryable_and_says_when(code: str) -> None:
    kinds: dict[str, type[errors.TryAgain]] = {k.code: k for k in errors.TryAgain.__subclasses__()}
    shown = msgspec.json.decode(wire.error(kinds[code]("not now", 250), None))
    assert shown == {"type": "error", "code": code, "message": "not now", "retryable": True, "retry_after_ms": 250}


def test_every_other_error_is_not_retryable() -> None:
    kinds = [errors.InvalidJson, errors.UnsupportedType, errors.Unauthorized, errors.TooLarge]
    for refused in [*(kind("no") for kind in kinds), errors.Internal()]:
        shown = msgspec.json.decode(wire.error(refused, None))
        assert shown["retryable"] is False
        assert "retry_after_ms" not in shown


def test_our_own_fault_is_logged_with_its_trace_id_and_not_told() -> None:
    with capture_logs() as logs:
        internal = errors.of(ZeroDivisionError("secret"))
    shown = msgspec.json.decode(wire.error(internal, "abc123"))
    assert shown == {
        "type": "error",
        "code": "internal",
        "message": "something went wrong here",
        "request_id": "abc123",
        "retryable": False,
        "trace_id": logs[0]["trace_id"],
    }
    assert logs[0]["exc_info"].args == ("secret",)


def test_a_refusal_of_the_orchestrator_keeps_its_code_and_message() -> None:
    refused: Refused = errors.of_notice(Refusal("unknown_voter", "no voter named 'x' is registered", request_id="a"))
    assert (refused.code, refused.message) == ("unknown_voter", "no voter named 'x' is registered")
    assert Refused("other").code == "internal", "the class keeps its own code"
