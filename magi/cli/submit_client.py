"""The connection of `magi submit`: to the gateway, and back to it when it breaks, until the verdict or the deadline."""

import asyncio
import random
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from magi.cli.context import NotRunning, read_note
from magi.cli.conversation import Acknowledged, Conversation, End, FinalResult, NotUnderstood, Say, Show
from magi.cli.local_token import token_file
from magi.cli.tls import gateway_tls
from magi.embedded.datadir import holder
from magi.eventstore.tls import explain
from magi.gateway.farewell import retry_after

CONNECT_WITHIN = 5.0
"""Seconds for the first connection: as long as a gateway that was killed takes to be started again, three times over.
Once it has been reached it is waited for until the deadline."""
MARGIN = 15.0
"""Seconds past the deadline: the verdict of a request whose orchestrator died on it takes 10 s longer, and the
gateway may have to be started again."""
STARTS_WITHIN = 30.0
"""Seconds that a `magi serve` which is starting is waited for: it takes three, and ten on a machine that is busy."""
OPEN_TIMEOUT = 5.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_FINAL_CODES = frozenset({1002, 1003, 1007, 1008, 1009, 1010})
_TOKEN = re.compile(r"[\x21-\x7e]+\Z")


class StillStarting(NotRunning):
    """A `magi serve` has the data directory open, and says nowhere yet that it is ready."""


class SubmitFailed(Exception):
    """There will be no verdict, or we won't hear of it. The message says why."""


class Address(Struct, frozen=True):
    url: str
    token: str
    tls_ca: str = ""
    """The file with the CA that its certificate is checked against; empty: the system's."""


def find_gateway(data: Path, url: str | None, token: str | None, tls_ca: str = "") -> Address:
    """The gateway of the MAGI that runs over `data`, with this machine's own token, unless others are given.

    The local token is only ever shown to the local gateway. Raises StillStarting, NotRunning, SubmitFailed.
    """
    note = read_note(data)
    local = note.url if note else ""
    if not url and not local:
        if holder(data):
            raise StillStarting(f"the MAGI over {data} is not ready: it is being started, or stopped")
        raise NotRunning(
            f"no MAGI is running over {data}: start one with `magi serve`, or name a gateway with --url or MAGI_URL"
        )
    if not token:
        if url and url.rstrip("/") != local:
            raise SubmitFailed(f"{url} wants a token: --token or MAGI_TOKEN (`magi initiators add NAME` makes one)")
        try:
            token = token_file(data).read_text().strip()
        except OSError as error:
            raise SubmitFailed(
                f"{token_file(data)} can't be read: {error.strerror}; give --token or MAGI_TOKEN"
            ) from None
    if not _TOKEN.match(token):
        raise SubmitFailed("the token is none: it holds blanks, or characters that no token has")
    return Address(url or local, token, tls_ca)


async def follow(
    conversation: Conversation,
    where: Callable[[], Address],
    show: Callable[[Show | End], None],
    tell: Callable[[str], None],
    timeout: float,
) -> FinalResult:
    """Submit the request and show its events until the verdict, which is returned.

    `where` is asked before every connection: a MAGI that was started again may listen elsewhere. `tell` gets what a
    person should know besides. `timeout` is the request's, in seconds. Raises NotRunning, SubmitFailed.
    """
    loop = asyncio.get_running_loop()
    link = _Link()
    try:
        async with asyncio.timeout(timeout + MARGIN) as limit:

            def on_step(step: Show | End) -> None:
                if isinstance(step, Show) and isinstance(step.event, Acknowledged):  # the deadline counts from there
                    limit.reschedule(loop.time() + timeout + MARGIN)
                show(step)

            first_try = begun = loop.time()
            waiting = False
            while True:
                try:
                    address = where()
                    async with connection_to(address) as connection:
                        link.reached = True
                        return await _converse(connection, conversation, link, on_step, tell)
                except StillStarting as error:
                    first_try = loop.time()
                    if first_try - begun > STARTS_WITHIN and not link.reached:
                        raise NotRunning(f"{error}; `magi doctor` and its logs say more") from error
                    if not waiting and not link.reached:
                        tell(f"{error}; waiting for it")
                    waiting = True
                except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed, NotRunning) as error:
                    raise_if_final(error, reached=link.reached)
                    if not link.reached and loop.time() - first_try > CONNECT_WITHIN:
                        raise SubmitFailed(f"can't connect to {_shown(address.url)}: {reason_of(error)}") from error
                    if link.reached and not link.problem:
                        tell(f"{reason_of(error)}: connecting again")
                    link.problem = reason_of(error)
                    link.asked = asked_to_wait(error)
                except (InvalidURI, ValueError) as error:
                    raise SubmitFailed(f"{_shown(address.url)} can't be the address of a gateway: {error}") from error
                except NotUnderstood as error:
                    raise SubmitFailed(f"{_shown(address.url)} is no gateway: {error}") from error
                await asyncio.sleep(max(link.asked, link.pause * random.uniform(0.7, 1.3)))  # noqa: S311 - jitter
                link.pause = min(2 * link.pause, _LONGEST_PAUSE)
    except TimeoutError:
        raise SubmitFailed(f"no verdict came in time{link.problem and ': ' + link.problem}") from None


class _Link:
    """How the connection fares."""

    def __init__(self) -> None:
        self.reached = False
        """Whether a gateway let us in, ever."""
        self.problem = ""
        """Why there is no connection that works now; empty when there is."""
        self.pause = _FIRST_PAUSE
        self.asked = 0.0
        """Seconds that the gateway asked us to wait when it sent us away."""

    def works(self, tell: Callable[[str], None]) -> None:
        """Something came from the gateway. That it let us in alone says nothing: it may close every connection."""
        if self.problem:
            tell("connected again")
        self.problem, self.pause = "", _FIRST_PAUSE


def connection_to(address: Address, path: str = "", *, show_token: bool = True) -> connect:
    """A connection to a gateway: to `path` there, if the address names none. Without `show_token` the token has to be
    shown in the first message."""
    named = urlsplit(address.url).path not in ("", "/")
    local = urlsplit(address.url).hostname in ("127.0.0.1", "::1", "localhost")
    return connect(
        address.url if named else address.url.rstrip("/") + path,
        subprotocols=[Subprotocol("magi.v1")],
        additional_headers={"Authorization": f"Bearer {address.token}"} if show_token else None,
        compression=None,
        ssl=gateway_tls(address.url, address.tls_ca),
        proxy=None if local else True,  # a proxy from the environment can't reach this machine
        open_timeout=OPEN_TIMEOUT,
        close_timeout=1,
    )


async def _converse(
    connection: ClientConnection,
    conversation: Conversation,
    link: _Link,
    show: Callable[[Show | End], None],
    tell: Callable[[str], None],
) -> FinalResult:
    await connection.send(conversation.opening)
    while True:
        frame = await connection.recv(decode=True)
        link.works(tell)
        match conversation.take(str(frame)):
            case Show() as step:
                show(step)
                if conversation.verdict:
                    return conversation.verdict
            case Say() as step:
                if step.why:
                    tell(step.why)
                await asyncio.sleep(step.after)
                await connection.send(step.frame)
            case End(refusal=refusal) as step:
                show(step)
                raise SubmitFailed(str(refusal))
            case None:
                pass


def raise_if_final(error: Exception, *, reached: bool) -> None:
    """Raise SubmitFailed, or the error itself, when trying again leads nowhere (PROTOCOL §1, close codes)."""
    if isinstance(error, NotRunning) and not reached:
        raise error
    if isinstance(error, ssl.SSLCertVerificationError):
        raise SubmitFailed(f"the gateway is not to be trusted: {explain(error)} (--tls-ca, gateway.tls_ca)") from error
    if isinstance(error, InvalidStatus) and error.response.status_code < 500:
        status = error.response.status_code
        if status == 401:
            raise SubmitFailed("unauthorized: the gateway doesn't know this token, or it was revoked") from error
        raise SubmitFailed(f"the gateway answered with HTTP {status}: is this MAGI's address?") from error
    if isinstance(error, ConnectionClosed) and error.rcvd:
        code = error.rcvd.code
        if code == 1009:
            raise SubmitFailed("too_large: the query and the answer are more than the gateway takes") from error
        if 4500 <= code <= 4999 or code in _FINAL_CODES:
            raise SubmitFailed(
                f"the gateway closed the connection: {error.rcvd.reason or 'no reason'} ({code})"
            ) from error


def asked_to_wait(error: Exception) -> float:
    """Seconds that a gateway which sent us away wants us to wait."""
    return retry_after(error.rcvd.reason) if isinstance(error, ConnectionClosed) and error.rcvd else 0.0


def reason_of(error: Exception) -> str:
    if isinstance(error, ConnectionClosed):
        return (
            f"the connection was closed ({error.rcvd.reason or error.rcvd.code})"
            if error.rcvd
            else "the connection broke"
        )
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return explain(error) or str(error) or type(error).__name__


def _shown(url: str) -> str:
    return url.rpartition("@")[2]
