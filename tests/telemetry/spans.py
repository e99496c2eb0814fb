"""A recorder that keeps what it gets."""

from collections.abc import Iterator
from contextlib import contextmanager

from magi.telemetry import tracing
from magi.telemetry.tracing import RecordedSpan


class Spans:
    """See `tracing.Recorder`."""

    def __init__(self) -> None:
        self.ended: list[RecordedSpan] = []
        self.sampling = True

    def samples(self, trace_id: str) -> bool:
        return self.sampling

    def record(self, span: RecordedSpan) -> None:
        self.ended.append(span)

    def named(self, name: str) -> list[RecordedSpan]:
        return [span for span in self.ended if span.stage.name == name]

    @contextmanager
    def recording(self) -> Iterator[None]:
        """While this lasts it gets the spans of this process."""
        tracing.record_with(self)
        try:
            yield
        finally:
            tracing.record_with(None)
