"""One GET over HTTP, past any proxy that the environment names: what is asked is on this machine, or beside it."""

import asyncio
import http.client
import ssl
import urllib.error
import urllib.request

from magi.eventstore.tls import explain

TIMEOUT = 5.0
"""Seconds. Such an endpoint answers in milliseconds."""
_LARGEST = 1024 * 1024


class CannotGet(Exception):
    """Nobody answers, or not in HTTP. The message says why."""


async def get(url: str, tls: ssl.SSLContext | None = None) -> tuple[int, bytes]:
    """Status and body, whatever the status. Raises CannotGet."""
    return await asyncio.to_thread(_get, url, tls)


def _get(url: str, tls: ssl.SSLContext | None) -> tuple[int, bytes]:
    if not url.startswith(("http://", "https://")):  # urllib would open file: and ftp: as well
        raise CannotGet(f"{url!r} is not an http address")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls))
    try:
        with opener.open(url, timeout=TIMEOUT) as answer:
            return int(answer.status), answer.read(_LARGEST)
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read(_LARGEST)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise CannotGet(explain(error) or str(reason) or type(error).__name__) from error
