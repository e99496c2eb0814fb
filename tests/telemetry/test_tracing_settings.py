"""`magi.telemetry.tracing_settings`."""

from pathlib import Path

import msgspec
import pytest

from magi.telemetry.tracing_settings import BadHeaders, TracingSettings, read_headers


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://localhost:4318", "http://localhost:4318/v1/traces"),
        ("https://otel.example.org/", "https://otel.example.org/v1/traces"),
        ("https://example.org/otlp/v1/traces", "https://example.org/otlp/v1/traces"),
    ],
)
def test_spans_are_posted_to_the_path_of_the_standard(endpoint: str, url: str) -> None:
    assert TracingSettings(endpoint).url == url


@pytest.mark.parametrize(
    "given",
    [
        {"endpoint": "localhost:4318"},
        {"endpoint": "grpc://localhost:4317"},
        {"endpoint": "http://me:secret@collector"},
        {"ratio": 1.5},
        {"resource": ["no value"]},
        {"service": "two words"},
    ],
)
def test_what_can_not_work_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, TracingSettings)


def test_resource_attributes_are_pairs() -> None:
    settings = msgspec.convert({"resource": ["a.b=c=d", "e="]}, TracingSettings)
    assert settings.attributes == {"a.b": "c=d", "e": ""}


def test_headers_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("# of the collector\nAuthorization: Bearer a:b\n\nX-Team: us\n")
    assert read_headers(str(file)) == {"Authorization": "Bearer a:b", "X-Team": "us"}
    assert read_headers("") == {}


@pytest.mark.parametrize("line", [b"no colon: but\nsekret", b"two words: sekret", b"X: sek\x01ret", b"\xff\xfe"])
def test_a_file_that_is_none_is_refused_without_showing_it(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "headers"
    file.write_bytes(line)
    with pytest.raises(BadHeaders) as refused:
        read_headers(str(file))
    assert "sek" not in str(refused.value)
    with pytest.raises(BadHeaders, match="missing: No such file"):
        read_headers(str(tmp_path / "missing"))
