"""The limits and times of a gateway; the defaults are those of PROTOCOL §1."""

from typing import Annotated

from msgspec import Meta, Struct

Positive = Annotated[int, Meta(ge=1)]


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """What one connection may do."""

    message_bytes: Annotated[int, Meta(ge=1024, le=524_288)] = 262_144
    """A message's size. At most half a MiB: escaped as JSON, a submission must fit into a message of NATS."""
    open_requests: Positive = 64
    """Requests without a verdict at one time."""
    messages_per_second: Positive = 200
    burst: Positive = 400
    outbound_bytes: Annotated[int, Meta(ge=16_384)] = 1_048_576
    """What may wait to be sent to a client; a client that lets more pile up is cut off."""
    voters: Positive = 64
    """Voters named in one request."""
    metadata_bytes: Positive = 4096
    max_timeout_ms: Annotated[int, Meta(ge=100, le=86_400_000)] = 86_400_000
    authentication_seconds: Annotated[float, Meta(gt=0)] = 10.0
    stuck_seconds: Annotated[float, Meta(gt=0)] = 10.0
    """How long a client may take nothing off its connection before it is cut off."""
    errors_in_a_row: Positive = 10


class GatewaySettings(Struct, frozen=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8765
    """0: any that is free."""
    grace_seconds: Annotated[float, Meta(ge=0)] = 3.0
    """How long a stopping gateway takes to flush what clients are still owed."""
    limits: Limits = Limits()
