"""What tracing costs: a stage while nobody records it, one that is recorded, and what the exporter's thread adds.

python -m bench.tracing
"""

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from bench.metrics import microseconds
from magi.telemetry import stages, tracing
from magi.telemetry.otlp import OtlpRecorder
from magi.telemetry.tracing import RecordedSpan

REQUEST = "agent.3f2b1c58-0a4e-5d13-9a0b-1b2c3d4e5f60"
NOWHERE = "http://127.0.0.1:9"


class Kept:
    """Samples every trace and keeps the last span."""

    span: RecordedSpan

    def samples(self, trace_id: str) -> bool:
        return True

    def record(self, span: RecordedSpan) -> None:
        self.span = span


def stage(trace: str) -> None:
    with tracing.stage(stages.PROCESS_TASK, trace, REQUEST, "1", "magi.tasks.casper", link=trace) as span:
        span.note("magi.voter_id", "casper")


def measure(what: str) -> None:
    trace = tracing.begin(REQUEST, "1", "").traceparent
    print(f"{what:24}{microseconds(lambda: tracing.begin(REQUEST, '1', '')):8.2f} µs the first span of a request")
    print(f"{'':24}{microseconds(lambda: stage(trace)):8.2f} µs a stage")


def main() -> None:
    measure("nobody records")
    kept = Kept()
    tracing.record_with(kept)
    measure("recorded")
    recorder = OtlpRecorder(NOWHERE, "bench", version="0", instance="0")
    made = [recorder._readable(kept.span) for _ in range(512)]
    each = microseconds(lambda: recorder._readable(kept.span), 50_000)
    print(f"{'as OpenTelemetry has it':24}{each:8.2f} µs a span")
    encoded = encode_spans(made).SerializeToString()
    each = microseconds(lambda: encode_spans(made).SerializeToString(), 10) / len(made)
    print(f"{'in the exporter':24}{each:8.2f} µs a span, {len(encoded) // len(made)} bytes")


if __name__ == "__main__":
    main()
