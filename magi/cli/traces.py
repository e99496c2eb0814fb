"""Tracing of a part, for as long as it runs."""

import asyncio
import contextlib
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterable

import structlog

import magi
from magi.cli.context import Context
from magi.cli.settings import SettingsError
from magi.telemetry import declarations as d
from magi.telemetry import tracing
from magi.telemetry.instruments import Reading
from magi.telemetry.tracing_settings import BadHeaders, read_headers

log = structlog.get_logger(__name__)

FLUSH = 1.0
"""Seconds in which a stopping part gets rid of its last spans. A healthy collector takes milliseconds."""


_TRACED = frozenset(d.TRACE_SPANS.parts)


class Traces:
    """What has become of the spans of a part: nothing, while there is no tracing."""

    def __init__(self, part: str) -> None:
        self._part = part
        self.spans: dict[str, int] = {"exported": 0, "failed": 0, "dropped": 0}

    def metrics(self) -> Iterable[Reading]:
        """See `telemetry.instruments.Source`."""
        if self._part in _TRACED:
            yield d.TRACE_SPANS, dict(self.spans)


@contextlib.asynccontextmanager
async def traced(ctx: Context, part: str) -> AsyncIterator[Traces]:
    """Record the spans of this process and send them to the collector, if one is set. Raises SettingsError."""
    settings = ctx.settings.tracing
    traces = Traces(part)
    tracing.trust_initiators(settings.trust_initiators)
    if not settings.endpoint or part not in _TRACED:
        yield traces
        return
    from magi.telemetry.otlp import OtlpRecorder  # here: 0.3 s, of no use to whoever has no collector

    try:
        recorder = OtlpRecorder(
            settings.url,
            f"{settings.service}-{part}",
            version=magi.__version__,
            instance=uuid.uuid4().hex[:12],
            ratio=settings.ratio,
            attributes=settings.attributes,
            headers=read_headers(settings.headers_file),
            tls_ca=settings.tls_ca,
        )
    except (BadHeaders, OSError, ValueError) as error:
        raise SettingsError(f"tracing.endpoint, tracing.headers_file or tracing.tls_ca: {error}") from error
    traces.spans = recorder.spans
    tracing.record_with(recorder)
    log.info("tracing", url=settings.url, ratio=settings.ratio)
    try:
        yield traces
    finally:
        tracing.record_with(None)
        if not await _in_thread(recorder.close, FLUSH):
            log.warning("spans_left", waiting=recorder.waiting)


async def _in_thread(close: Callable[[float], bool], seconds: float) -> bool:
    """Close without keeping the event loop, nor the process from ending: a pool's threads would."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bool] = loop.create_future()

    def work() -> None:
        result = close(seconds)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(done.set_result, result)

    threading.Thread(target=work, daemon=True, name="tracing ends").start()
    return await done
