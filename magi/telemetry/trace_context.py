"""W3C Trace Context: what a `traceparent` says, and new ids. Pure but for the random numbers; imports nothing.

`00-<trace id, 32 hex digits>-<span id, 16>-<flags, 2>`. A malformed one is none at all: that is the standard's rule,
and whoever sends one is served all the same.
"""

import re
from random import getrandbits
from typing import NamedTuple

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z", re.DOTALL)
_LENGTH = len("00-") + 32 + 1 + 16 + len("-00")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_SAMPLED = 0x01


class TraceContext(NamedTuple):
    """Who caused something: a span of a trace."""

    trace_id: str
    """32 hex digits."""
    span_id: str
    """16 hex digits."""
    sampled: bool
    """Whether whoever began the trace wants its spans kept."""

    def __str__(self) -> str:
        """As a `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def parse(traceparent: object) -> TraceContext | None:
    """What somebody sent as a `traceparent`, whatever it is; None when it isn't valid. Never raises."""
    if not isinstance(traceparent, str) or len(traceparent) < _LENGTH:
        return None
    found = _FORM.match(traceparent)
    if found is None:
        return None
    version, trace, span, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest is not None) or trace == _NO_TRACE or span == _NO_SPAN:
        return None
    return TraceContext(trace, span, bool(int(flags, 16) & _SAMPLED))


def trace_id(traceparent: str) -> str:
    """The trace id of a `traceparent` as a line of the log has it; empty when there is none in it."""
    found = parse(traceparent)
    return found.trace_id if found else ""


def new_trace_id() -> str:
    """A random one, which is no secret; never all zeros, which would mean none."""
    return f"{getrandbits(128) or 1:032x}"


def new_span_id() -> str:
    return f"{getrandbits(64) or 1:016x}"


def root_span_id(request: str) -> str:
    """The id of the span that a request's trace begins with, by the aggregate's id, which ends in a UUID.

    So every part knows it, and can hang its own spans there, without being told.
    """
    return request.replace("-", "")[-16:]
