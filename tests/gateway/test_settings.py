"""The limits: the defaults are those of the protocol, and what can't be is refused with its name."""

import msgspec
import pytest

from magi.gateway.settings import GatewaySettings, Limits


def test_the_defaults_are_those_of_the_protocol() -> None:
    assert Limits() == Limits(
        message_bytes=256 * 1024,
        open_requests=64,
        messages_per_second=200,
        burst=400,
        outbound_bytes=1024 * 1024,
        instances=64,
        voters=64,
        metadata_bytes=4096,
        min_timeout_ms=100,
        max_timeout_ms=86_400_000,
        connections=1000,
        handshake_seconds=10,
        authentication_seconds=10,
        stuck_seconds=10,
        ping_seconds=20,
        errors_in_a_row=10,
    )


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    assert GatewaySettings().host == "127.0.0.1"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("message_bytes", 1023),
        ("message_bytes", 524_289),
        ("open_requests", 0),
        ("messages_per_second", 0),
        ("outbound_bytes", 16_383),
        ("max_timeout_ms", 99),
        ("max_timeout_ms", 86_400_001),
        ("authentication_seconds", 0),
        ("stuck_seconds", 0),
        ("stuck_secnods", 1),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_name(field: str, value: int) -> None:
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert({"limits": {field: value}}, GatewaySettings)
