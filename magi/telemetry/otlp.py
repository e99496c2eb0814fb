"""Sends spans to an OpenTelemetry collector by OTLP over HTTP, from a thread of its own.

The only module that knows OpenTelemetry; importing it takes 0.3 s, so it is imported where tracing is switched on. A
collector that can't be reached costs spans and nothing else: they wait in a bounded queue, and beyond it are dropped.
"""

import contextvars
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from magi.telemetry.trace_context import TraceContext
from magi.telemetry.tracing import RecordedSpan

log = structlog.get_logger(__name__)

QUEUE: Final = 8192
"""Spans that may wait: those of 200 requests with three voters."""
BATCH: Final = 512
EVERY_MS: Final = 1000.0
"""How long a span waits for company at most."""
POST_SECONDS: Final = 5.0
"""What one batch may take, with its repetitions."""
_RANDOM: Final = 14
"""Hex digits at the end of a trace id that W3C lets one take for random: 56 bits."""

_KINDS: Final = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
    "internal": SpanKind.INTERNAL,
}
_FLAGS: Final = TraceFlags(TraceFlags.SAMPLED)
_UNSET: Final = Status(StatusCode.UNSET)
_FAILED: Final = Status(StatusCode.ERROR)


class OtlpRecorder:
    """See `tracing.Recorder`."""

    def __init__(
        self,
        url: str,
        service: str,
        *,
        version: str,
        instance: str,
        ratio: float = 1.0,
        attributes: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        tls_ca: str = "",
    ) -> None:
        """`service` names the process, `attributes` say more about it. Nothing is sent before the first span."""
        # What it has to say we say ourselves, once, and not for each batch.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self.spans: Counter[str] = Counter({"exported": 0, "failed": 0, "dropped": 0})
        """How many were sent, could not be sent, and were not even tried since too many waited."""
        self._below = int(ratio * 16**_RANDOM)
        self._waiting = 0
        self._lock = threading.Lock()
        self._resource = Resource(
            {**(attributes or {}), "service.name": service, "service.version": version, "service.instance.id": instance}
        )
        self._scope = InstrumentationScope("magi", version)
        exporter = OTLPSpanExporter(
            url, certificate_file=tls_ca or None, headers=dict(headers or {}), timeout=POST_SECONDS
        )
        self._exporter = _Counting(exporter, url, self._done)
        self._processor = BatchSpanProcessor(
            self._exporter, max_queue_size=QUEUE, schedule_delay_millis=EVERY_MS, max_export_batch_size=BATCH
        )

    @property
    def waiting(self) -> int:
        """Spans that are neither sent nor given up."""
        return self._waiting

    def samples(self, trace_id: str) -> bool:
        return int(trace_id[-_RANDOM:], 16) < self._below

    def record(self, span: RecordedSpan) -> None:
        with self._lock:
            if self._waiting >= QUEUE:
                self.spans["dropped"] += 1
                return
            self._waiting += 1
        self._processor.on_end(self._readable(span))

    def close(self, seconds: float) -> bool:
        """Send what waits, as far as that works in so many seconds. Blocks. Returns whether all was tried."""
        closing = threading.Thread(target=self._processor.shutdown, daemon=True, name="tracing ends")
        closing.start()
        closing.join(seconds)
        return not closing.is_alive()

    def _done(self, count: int, outcome: str) -> None:
        with self._lock:
            self._waiting -= count
            self.spans[outcome] += count

    def _readable(self, span: RecordedSpan) -> ReadableSpan:
        """The span as OpenTelemetry has it. Made as a whole when it is over: a tracer of the SDK, which draws ids and
        samples by itself, takes five times as long."""
        attributes = {**span.attributes, "error.type": span.error} if span.error else span.attributes
        return ReadableSpan(
            span.stage.name,
            _context(span.context),
            parent=_context(span.context._replace(span_id=span.parent)) if span.parent else None,
            resource=self._resource,
            attributes=attributes,
            links=[Link(_context(link)) for link in span.links],
            kind=_KINDS[span.stage.kind],
            status=_FAILED if span.error else _UNSET,
            start_time=span.began,
            end_time=max(span.ended, span.began),  # the clock may have been set back
            instrumentation_scope=self._scope,
        )


def _context(context: TraceContext) -> SpanContext:
    flags = _FLAGS if context.sampled else TraceFlags(TraceFlags.DEFAULT)
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), is_remote=False, trace_flags=flags)


class _Counting(SpanExporter):
    """Counts what becomes of the spans, and says so when the collector is gone, and when it is back."""

    def __init__(self, exporter: SpanExporter, url: str, done: Callable[[int, str], None]) -> None:
        self._inner = exporter
        self._url = url
        self._done = done
        self._works = True
        self._context = contextvars.copy_context()  # of whoever made it: log lines say which part they are from

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._inner.export(spans)
        finally:
            worked = result is SpanExportResult.SUCCESS
            self._done(len(spans), "exported" if worked else "failed")
            if worked != self._works:
                self._works = worked
                self._context.run(self._say)
        return result

    def _say(self) -> None:
        if self._works:
            log.info("tracing_collector_back", url=self._url)
        else:
            log.warning("tracing_collector_lost", url=self._url)

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)
