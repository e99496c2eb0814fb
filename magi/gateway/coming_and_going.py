"""What the log says of connections: who came, who was not let in, and how each ended (`telemetry.steps`)."""

import http
from typing import NamedTuple

import structlog
from websockets.asyncio.server import ServerConnection

log = structlog.get_logger(__name__)

_NO_CLOSE_FRAME = 1006


class Ending(NamedTuple):
    code: int
    """Of the first close frame; 1006 when there was none."""
    reason: str
    """Ours. A client's own words are not for the log."""
    by: str
    """`client`, `gateway`, or `nobody` when the connection was lost."""


def shown_address(connection: ServerConnection) -> str:
    """Where a client is, as ``host:port``."""
    address = connection.remote_address
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) and len(address) >= 2 else ""


def tell_not_let_in(connection: ServerConnection, status: http.HTTPStatus, why: str) -> None:
    log.debug("connection_refused", status=int(status), why=why, remote=shown_address(connection))


def how_it_ended(connection: ServerConnection) -> Ending:
    """How a connection ended that is over."""
    protocol = connection.protocol
    received, sent = protocol.close_rcvd, protocol.close_sent
    if received and (protocol.close_rcvd_then_sent or not sent):
        return Ending(int(received.code), "", "client")
    if sent:
        return Ending(int(sent.code), sent.reason, "gateway")
    return Ending(_NO_CLOSE_FRAME, "", "nobody")
