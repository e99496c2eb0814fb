"""The errors of PROTOCOL §1 that are the gateway's own, and what each failure of another part is to a client."""

from typing import ClassVar

import structlog

from magi.domain.errors import Refused
from magi.eventstore.bus import TOO_LARGE, BusError, Rejected
from magi.eventstore.history import CorruptHistory, StoreError
from magi.eventstore.notices import Refusal
from magi.telemetry.trace_context import new_trace_id, trace_id

log = structlog.get_logger(__name__)

RETRY_AFTER_MS = 1000


class InvalidJson(Refused):
    code = "invalid_json"


class UnsupportedType(Refused):
    code = "unsupported_type"


class Unauthorized(Refused):
    code = "unauthorized"


class Forbidden(Refused):
    code = "forbidden"


class TooLarge(Refused):
    code = "too_large"


class TryAgain(Refused):
    """Not now. `retry_after_ms` is a guess at when."""

    retryable = True

    def __init__(self, message: str, retry_after_ms: int = RETRY_AFTER_MS) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class RateLimited(TryAgain):
    code = "rate_limited"


class Overloaded(TryAgain):
    code = "overloaded"


class Unavailable(TryAgain):
    code = "unavailable"


class Internal(Refused):
    """Our fault. What happened is in the log, beside `trace_id`; the client learns nothing of it."""

    code = "internal"

    def __init__(self, trace: str = "") -> None:
        """`trace` is the `traceparent` of what failed, if it belongs to a trace."""
        super().__init__("something went wrong here")
        self.trace_id = trace_id(trace) or new_trace_id()


class _FromOrchestrator(Refused):
    """What the orchestrator refused, by its code."""

    def __init__(self, notice: Refusal) -> None:
        super().__init__(notice.message)
        self.code: ClassVar[str] = notice.code  # type: ignore[misc]


def of_notice(notice: Refusal) -> Refused:
    """What the orchestrator refused, as the error that the client gets."""
    return _FromOrchestrator(notice)


def of(error: Exception, trace: str = "") -> Refused:
    """The error that a client gets for `error`. What isn't the client's doing, nor an outage, is logged here, with the
    id of the trace that `trace` is the `traceparent` of."""
    match error:
        case Refused():
            return error
        case Rejected(err_code=code) if code == TOO_LARGE:
            return TooLarge("the request is too large for the inbox")
        case Rejected():
            log.warning("overloaded", error=str(error))
            return Overloaded("the inbox takes nothing now")
        case BusError() | StoreError() if not isinstance(error, CorruptHistory):
            log.warning("unavailable", error=str(error))
            return Unavailable("the streams can't be reached")
    internal = Internal(trace)
    log.error("internal_error", trace_id=internal.trace_id, exc_info=error)
    return internal
