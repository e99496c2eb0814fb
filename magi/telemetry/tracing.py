"""Where the parts say at which stage a request is. It costs next to nothing while nobody records it.

Each process has one recorder at most, set by `record_with` (`otlp` is one). Without it, or for a trace that is not
sampled, a `Span` does nothing but carry the `traceparent` on: 0.6 µs a stage (`bench/tracing.py`).
"""

import time
from types import TracebackType
from typing import Protocol, Self

from magi.telemetry import stages
from magi.telemetry.stages import Stage
from magi.telemetry.trace_context import TraceContext, new_span_id, new_trace_id, parse, root_span_id

Attribute = str | int | bool
"""What a span may say besides its stage: ids, codes and numbers; never what was submitted or why somebody voted."""


class Span:
    """A stage that nobody records."""

    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str = "") -> None:
        self.traceparent = traceparent
        """What to pass on to whatever this stage causes; empty when nothing began a trace."""

    def child(self, stage: Stage, destination: str = "", *, link: object = "", since: int = 0) -> "Span":
        """A stage within this one. `destination` is a message's subject, `link` the `traceparent` of what else caused
        it, from anybody; `since` when it began, in nanoseconds since 1970, if that isn't now."""
        return self

    def note(self, attribute: str, value: Attribute) -> None:
        """Say something more about it."""

    def failed(self, why: str) -> None:
        """It did not succeed; `why` is a code or the name of an error."""

    def end(self) -> None:
        """It is over."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


OFF = Span()
"""For what belongs to no trace."""


class RecordedSpan(Span):
    """A stage of a trace that is sampled, in a process with a recorder."""

    __slots__ = ("_about", "_recorder", "attributes", "began", "context", "ended", "error", "links", "parent", "stage")

    def __init__(
        self,
        recorder: "Recorder",
        stage: Stage,
        context: TraceContext,
        parent: str,
        about: dict[str, Attribute],
        destination: str = "",
        link: object = "",
        since: int = 0,
    ) -> None:
        """`parent` is a span id, empty for the first of a trace; `about` says which request it is of."""
        super().__init__(str(context))
        self._recorder = recorder
        self._about = about
        self.stage = stage
        self.context = context
        self.parent = parent
        self.attributes = dict(about)
        if stage.operation:
            self.attributes["messaging.system"] = "nats"
            self.attributes["messaging.operation.name"] = stage.operation
            self.attributes["messaging.operation.type"] = stage.operation
            self.attributes["messaging.destination.template"] = stage.template
            if destination:
                self.attributes["messaging.destination.name"] = destination
        linked = parse(link) if link else None
        self.links: tuple[TraceContext, ...] = (linked,) if linked else ()
        self.error = ""
        self.began = since or time.time_ns()
        self.ended = 0

    def child(self, stage: Stage, destination: str = "", *, link: object = "", since: int = 0) -> Span:
        context = self.context._replace(span_id=new_span_id())
        about = self._about
        return RecordedSpan(self._recorder, stage, context, self.context.span_id, about, destination, link, since)

    def note(self, attribute: str, value: Attribute) -> None:
        self.attributes[attribute] = value

    def failed(self, why: str) -> None:
        self.error = why

    def end(self) -> None:
        """Once is enough: what comes after the first is left out."""
        if not self.ended:
            self.ended = time.time_ns()
            self._recorder.record(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.failed(kind.__name__)  # not what it says: that may hold what was submitted
        self.end()


class Recorder(Protocol):
    """Whoever keeps the spans."""

    def samples(self, trace_id: str) -> bool:
        """Whether a trace that begins here is to be recorded. It counts for all that follows, in every process."""
        ...

    def record(self, span: RecordedSpan) -> None:
        """Take an ended span. It must neither wait nor raise."""
        ...


_recorder: Recorder | None = None
_trusting = False


def record_with(recorder: Recorder | None) -> None:
    """From now on, in this process; None: record nothing."""
    global _recorder
    _recorder = recorder


def recording() -> bool:
    """Whether spans of sampled traces are kept in this process; if not, whoever has much to say of one needn't."""
    return _recorder is not None


def trust_initiators(trusting: bool) -> None:
    """Whether the `traceparent` of an Initiator is gone on with. Else each request begins a trace, linked to it."""
    global _trusting
    _trusting = trusting


def begin(request: str, request_id: str, given: object, *, since: int = 0) -> Span:
    """The first span of a request, which has come with `given` as its `traceparent`, valid or not.

    `request` is the aggregate's id. There is a trace id in `traceparent` even if nobody records anything.
    """
    caller = parse(given) if given else None
    recorder = _recorder
    if caller and _trusting:
        context, parent = caller, caller.span_id
        if recorder is None or not caller.sampled:
            return Span(str(caller))
        link = ""
    else:
        trace_id = new_trace_id()
        context, parent = TraceContext(trace_id, "", recorder is not None and recorder.samples(trace_id)), ""
        link = str(caller) if caller else ""
    context = context._replace(span_id=root_span_id(request))
    if recorder is None or not context.sampled:
        return Span(str(context))
    about = _about(request, request_id)
    return RecordedSpan(recorder, stages.REQUEST, context, parent, about, link=link, since=since)


def stage(
    stage: Stage, trace: str, request: str, request_id: str, destination: str = "", *, link: object = "", since: int = 0
) -> Span:
    """A stage of a request in another process than what caused it: it hangs from the request's first span.

    `trace` is the `traceparent` of any span of the request; the rest as in `Span.child`.
    """
    recorder = _recorder
    if recorder is None:
        return Span(trace)
    context = parse(trace)
    if context is None or not context.sampled:
        return Span(trace)
    context = context._replace(span_id=new_span_id())
    about = _about(request, request_id)
    return RecordedSpan(recorder, stage, context, root_span_id(request), about, destination, link, since)


def within(stage: Stage, parent: str, request: str, request_id: str) -> Span:
    """A stage within the one whose `traceparent` is `parent`, where that span itself is not at hand."""
    recorder = _recorder
    context = parse(parent) if recorder else None
    if recorder is None or context is None or not context.sampled:
        return Span(parent)
    own = context._replace(span_id=new_span_id())
    return RecordedSpan(recorder, stage, own, context.span_id, _about(request, request_id))


def _about(request: str, request_id: str) -> dict[str, Attribute]:
    return {"magi.request_id": request_id, "magi.initiator_id": request.partition(".")[0], "magi.request": request}
