"""The limits and times of a gateway; the defaults are those of PROTOCOL §1."""

from typing import Annotated

from msgspec import Meta, Struct

_ORIGIN = "an origin such as https://example.org, in lower case and without a path"
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
    instances: Positive = 64
    """Connections of one voter at one time, to one gateway."""
    voters: Positive = 64
    """Voters named in one request."""
    metadata_bytes: Positive = 4096
    min_timeout_ms: Annotated[int, Meta(ge=1, le=86_400_000)] = 100
    max_timeout_ms: Annotated[int, Meta(ge=100, le=86_400_000)] = 86_400_000
    connections: Positive = 1000
    """Connections of one Initiator to one gateway."""
    handshake_seconds: Annotated[float, Meta(gt=0)] = 10.0
    """Until a client must have sent its handshake."""
    authentication_seconds: Annotated[float, Meta(gt=0)] = 10.0
    stuck_seconds: Annotated[float, Meta(gt=0)] = 10.0
    """How long a client may take nothing off its connection before it is cut off."""
    ping_seconds: Annotated[float, Meta(gt=0)] = 20.0
    """How often a client is pinged, and how long it may take to answer."""
    errors_in_a_row: Positive = 10


class QuotaSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What one Initiator may use of all gateways together, unless its registration says otherwise; 0: no quota."""

    requests_per_second: Annotated[float, Meta(ge=0, le=1_000_000)] = 1000.0
    """Submitted; a second's worth may come at once."""
    open_requests: Annotated[int, Meta(ge=0)] = 10_000
    """Submitted, and without a verdict."""
    connections: Annotated[int, Meta(ge=0)] = 5000


class GatewaySettings(Struct, frozen=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8765
    """0: any that is free."""
    tls_cert: str = ""
    """The file with the certificate, and those between it and its CA, for wss; empty: ws."""
    tls_key: str = ""
    """The file with its key. Both are taken anew, within a second, when they have changed."""
    tls_ca: str = ""
    """The file with the CAs that commands check a gateway's certificate against; empty: the system's."""
    origins: tuple[Annotated[str, Meta(pattern=r"^https?://[a-z0-9.:\[\]-]+$", description=_ORIGIN)], ...] = ()
    """The web pages, by their `Origin`, that may connect. Whoever sends none is no browser, and is let in."""
    grace_seconds: Annotated[float, Meta(ge=0)] = 3.0
    """How long a stopping gateway takes to flush what clients are still owed."""
    limits: Limits = Limits()
    quotas: QuotaSettings = QuotaSettings()
