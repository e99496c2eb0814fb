"""How tracing is set. Beside the exporter, since the settings are read where nothing is exported."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

_ENDPOINT = "an address such as http://localhost:4318, without user, query and fragment"
_NAME = "a name of letters, digits, ., _ and -, at most 64 of them"


class TracingSettings(Struct, frozen=True, forbid_unknown_fields=True):
    endpoint: Annotated[str, Meta(pattern=r"^(https?://[^\s?#@]+)?$", description=_ENDPOINT)] = ""
    """The OTLP/HTTP address of a collector, such as `http://localhost:4318`; empty: no tracing. It is shown in logs: a
    key belongs into `headers_file`."""
    ratio: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """The share of requests that are traced."""
    service: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$", description=_NAME)] = "magi"
    """How the parts' names begin: `magi-gateway`, `magi-orchestrator`, `magi-voters`."""
    resource: tuple[Annotated[str, Meta(pattern=r"^[^\s=]+=", description="name=value")], ...] = ()
    """What else is said of each part, as `name=value`."""
    headers_file: str = ""
    """The file with headers for the collector, `Name: value` a line, such as a key; empty: none."""
    tls_ca: str = ""
    """The file with the CAs that the collector's certificate is checked against; empty: the usual ones."""
    trust_initiators: bool = False
    """Whether a request's trace goes on from the Initiator's `traceparent`, instead of being linked to it."""

    @property
    def url(self) -> str:
        """Where spans are posted."""
        base = self.endpoint.rstrip("/")
        return base if base.endswith("/v1/traces") else f"{base}/v1/traces"

    @property
    def attributes(self) -> Mapping[str, str]:
        """Those of `resource`."""
        return dict(one.split("=", 1) for one in self.resource)


class BadHeaders(Exception):
    """The file with headers can't be used. The message says why and shows nothing of it."""


def read_headers(file: str) -> dict[str, str]:
    """The headers in a file; none when there is no file. Raises BadHeaders."""
    if not file:
        return {}
    try:
        lines = Path(file).read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise BadHeaders(f"{file}: it is not text") from None
    except OSError as error:
        raise BadHeaders(f"{file}: {error.strerror or type(error).__name__}") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not name.isascii() or not name.replace("-", "").isalnum() or not value.isprintable():
            raise BadHeaders(f"{file}: line {number}: expected `Name: value`")
        found[name] = value
    return found
