"""HTTP calls to URLs that somebody registered: no forbidden address, no redirect, no proxy, nothing without a bound.

The addresses are checked where the connection is made. A check before that of what a name stands for would be worth
nothing: the next look-up may say something else (DNS rebinding).
"""

import os
import socket
from collections.abc import Mapping
from typing import Final

from aiohttp import (
    AddrInfoType,
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    InvalidURL,
    TCPConnector,
    ThreadedResolver,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct

from magi.webhooks.addresses import PUBLIC, AddressRefused, BadUrl, Reach, allowed, check, parsed_url

BODY_LIMIT: Final = 65_536
"""Bytes of an answer that are read: a vote with the longest reason has 25,000 at most."""
CONNECT_SECONDS: Final = 5.0
_CHUNK: Final = 16_384


class CallError(Exception):
    """A call that led to no answer. The message says why and holds nothing of what was sent."""


class CallRefused(CallError):
    """We don't call that: a forbidden address, or no usable URL. Trying again is of no use."""


class CallFailed(CallError):
    """Nothing answered, or not in time, or the connection broke. It may work later."""


class CallTimedOut(CallFailed):
    """It took too long."""


class AnswerTooLarge(CallError):
    """The answer has more bytes than are read."""


class Answer(Struct, frozen=True):
    """What came back. Redirects are answers like others."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    """Names in any case."""


class _CheckedResolver(AbstractResolver):
    """Leaves out the addresses of a name that may not be called."""

    def __init__(self, resolver: AbstractResolver, reach: Reach) -> None:
        self._resolver = resolver
        self._reach = reach

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        results = await self._resolver.resolve(host, port, family)
        usable = set(allowed((result["host"] for result in results), self._reach))
        return [result for result in results if result["host"] in usable]

    async def close(self) -> None:
        await self._resolver.close()


def open_session(reach: Reach = PUBLIC, resolver: AbstractResolver | None = None) -> ClientSession:
    """A session that connects to addresses of these kinds only. To be called in an event loop, and closed.

    It keeps no cookies, reads no proxy and no password from the environment, and doesn't bound how many calls go on at
    once: who calls does.
    """

    def new_socket(address: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, target = address
        check(str(target[0]), reach)  # every connection comes by here, those to numeric hosts too
        return socket.socket(family, kind, protocol)

    connector = TCPConnector(
        limit=0, resolver=_CheckedResolver(resolver or ThreadedResolver(), reach), socket_factory=new_socket
    )
    return ClientSession(
        connector=connector,
        cookie_jar=DummyCookieJar(),
        trust_env=False,
        # What we ask for is not compressed, and nothing is unpacked: a few bytes can't become many.
        auto_decompress=False,
        headers={"User-Agent": "MAGI", "Accept": "application/json", "Accept-Encoding": "identity"},
    )


async def post(
    session: ClientSession,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    seconds: float,
    body_limit: int = BODY_LIMIT,
) -> Answer:
    """Send JSON and read the answer, whatever its status, in `seconds` all together.

    `session` is one of `open_session`. Raises CallRefused, CallFailed, AnswerTooLarge.
    """
    try:
        target = parsed_url(url)
        async with session.post(
            target,
            data=body,
            headers={"Content-Type": "application/json", **headers},
            allow_redirects=False,
            timeout=ClientTimeout(total=seconds, sock_connect=min(seconds, CONNECT_SECONDS)),
        ) as response:
            content = bytearray()
            async for chunk in response.content.iter_chunked(_CHUNK):
                content += chunk
                if len(content) > body_limit:
                    response.close()
                    raise AnswerTooLarge(f"an answer of more than {body_limit:,} bytes")
            return Answer(response.status, bytes(content), response.headers)
    except (BadUrl, InvalidURL) as error:
        raise CallRefused(str(error)) from error
    except TimeoutError as error:
        raise CallTimedOut(f"no answer within {seconds:.3g} s") from error
    except (ClientError, OSError) as error:
        if refused := _refusal(error):
            raise CallRefused(str(refused)) from error
        raise CallFailed(f"no answer: {_cause(error)}") from error


def _refusal(error: BaseException | None) -> AddressRefused | None:
    while error is not None and not isinstance(error, AddressRefused):
        error = error.__cause__
    return error


def _cause(error: BaseException) -> str:
    """Why a connection failed, without the host: these words may be shown to somebody who mustn't know our network."""
    system = error.os_error if isinstance(error, ClientConnectorError) else error
    if isinstance(system, OSError) and system.errno:
        return (os.strerror(system.errno) if system.errno > 0 else str(system.strerror)).lower()
    return type(error).__name__
