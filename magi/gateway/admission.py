"""Who is let in: what is no handshake of a client is answered in HTTP, and whoever shows a bad token refused."""

import http
import re
from collections.abc import Awaitable
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import NegotiationError
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from magi.domain.directory import Principal, VoterPrincipal
from magi.gateway.coming_and_going import tell_not_let_in
from magi.gateway.readiness import Readiness
from magi.gateway.session import Services, authenticate
from magi.gateway.voters import session as voters
from magi.gateway.voters.session import VoterServices

SUBPROTOCOL = Subprotocol("magi.v1")
INITIATOR_PATHS = frozenset({"/", "/v1/initiator"})
VOTER_PATH = "/v1/voter"
_OTHER_VERSION = re.compile(r"/v(?!1/)[0-9]{1,9}/(initiator|voter)")


class Admission:
    """Looks at each handshake, before there is a WebSocket. Whoever it lets in has a `magi_principal`, or shows a token
    in the first message."""

    def __init__(
        self, services: Services, voters_: VoterServices, readiness: Readiness, origins: tuple[str, ...]
    ) -> None:
        self._services = services
        self._voters = voters_
        self._readiness = readiness
        self._origins = origins
        self.closed = False
        """Set when nobody is let in any more."""

    def admit(self, connection: ServerConnection, request: Request) -> Response | Awaitable[Response] | None:
        """An answer for who is not let in, as `websockets` wants it of `process_request`; None for who is."""
        path = path_of(request)
        if path == "/healthz":
            return connection.respond(http.HTTPStatus.OK, "alive\n")
        if path == "/readyz":
            return self._say_whether_ready(connection)
        if not _is_welcome(request.headers, self._origins):
            tell_not_let_in(connection, http.HTTPStatus.FORBIDDEN, "origin")
            self._count(path, "origin")
            return connection.respond(http.HTTPStatus.FORBIDDEN, "origin: not allowed\n")
        if is_other_version(request) and not self.closed:
            return None  # `_serve` closes it by a code: a browser's page doesn't learn a status
        if path not in INITIATOR_PATHS and path != VOTER_PATH:
            return connection.respond(http.HTTPStatus.NOT_FOUND, "no such path\n")
        if self.closed:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "shutting down\n")
        token = _bearer(request.headers)
        if token is None:
            return None
        principal: Principal | VoterPrincipal | None
        if path == VOTER_PATH:
            principal = voters.authenticate(self._voters, token)
        else:
            principal = authenticate(self._services, token)
        if principal is None:
            tell_not_let_in(connection, http.HTTPStatus.UNAUTHORIZED, "token")
            self._count(path, "unauthorized")
            response = connection.respond(http.HTTPStatus.UNAUTHORIZED, "token: unknown, expired or revoked\n")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        connection.magi_principal = principal  # type: ignore[attr-defined]
        return None

    def _count(self, path: str, code: str) -> None:
        self._services.figures.errors["voter" if path == VOTER_PATH else "initiator", code] += 1

    async def _say_whether_ready(self, connection: ServerConnection) -> Response:
        if self.closed or await self._readiness.problem():
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "not ready\n")
        return connection.respond(http.HTTPStatus.OK, "ready\n")


def is_other_version(request: Request) -> bool:
    """Whether it is the path of a client of another version."""
    return _OTHER_VERSION.fullmatch(path_of(request)) is not None


def path_of(request: Request) -> str:
    """Without what is asked behind it."""
    return request.path.partition("?")[0]


def _bearer(headers: Headers) -> str | None:
    """The token of an Authorization header; an empty one when the header is there and holds none."""
    values = headers.get_all("Authorization")
    if not values:
        return None
    scheme, _, token = values[0].partition(" ")
    return token.strip() if len(values) == 1 and scheme.lower() == "bearer" else ""


def _is_welcome(headers: Headers, origins: tuple[str, ...]) -> bool:
    """Whether it is no browser, or one that shows a page of these origins."""
    sent = headers.get_all("Origin")
    return not sent or (len(sent) == 1 and sent[0] in origins)


def select_subprotocol(connection: Any, offered: Any) -> Subprotocol | None:
    """`magi.v1` when it is offered, none when nothing is, else HTTP 400."""
    if not offered:
        return None
    if SUBPROTOCOL in offered:
        return SUBPROTOCOL
    raise NegotiationError(f"expected the subprotocol {SUBPROTOCOL}")
