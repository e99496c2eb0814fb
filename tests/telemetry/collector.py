"""A small OpenTelemetry collector: takes spans by OTLP over HTTP, and keeps them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from msgspec import Struct
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Pb
from opentelemetry.proto.trace.v1.trace_pb2 import Status

Value = str | int | bool


class Taken(Struct, frozen=True):
    """A span that came."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent: str
    links: tuple[str, ...]
    """Trace and span ids, joined by a dash."""
    attributes: Mapping[str, Value]
    resource: Mapping[str, Value]
    failed: bool
    began: int
    ended: int


class Collector:
    """See `collecting`."""

    def __init__(self) -> None:
        self.port = 0
        self.spans: list[Taken] = []
        self.headers: list[Mapping[str, str]] = []
        """Of each post, their names in lower case."""
        self.bodies: list[bytes] = []
        self.asked = asyncio.Event()
        """Set when the first post has come."""
        self.answers = asyncio.Event()
        """While it is cleared nothing is answered."""
        self.answers.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.set()
        await self.answers.wait()
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.bodies.append(body)
        self.spans += decoded(body)
        return web.Response(content_type="application/x-protobuf")


@asynccontextmanager
async def collecting(port: int = 0) -> AsyncIterator[Collector]:
    """A collector that listens on a free port, or on the one given."""
    collector = Collector()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        collector.port = int(runner.addresses[0][1])
        yield collector
    finally:
        await runner.cleanup()


def decoded(body: bytes) -> list[Taken]:
    """The spans in what was posted."""
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    taken = []
    for group in request.resource_spans:
        resource = {pair.key: _value(pair.value) for pair in group.resource.attributes}
        for scope in group.scope_spans:
            assert scope.scope.name == "magi"
            for span in scope.spans:
                taken.append(
                    Taken(
                        service=str(resource["service.name"]),
                        name=span.name,
                        kind=Pb.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                        trace_id=span.trace_id.hex(),
                        span_id=span.span_id.hex(),
                        parent=span.parent_span_id.hex(),
                        links=tuple(f"{link.trace_id.hex()}-{link.span_id.hex()}" for link in span.links),
                        attributes={pair.key: _value(pair.value) for pair in span.attributes},
                        resource=resource,
                        failed=span.status.code == Status.STATUS_CODE_ERROR,
                        began=span.start_time_unix_nano,
                        ended=span.end_time_unix_nano,
                    )
                )
    return taken


def _value(value: AnyValue) -> Value:
    found = getattr(value, value.WhichOneof("value"))
    assert isinstance(found, str | int | bool)
    return found
