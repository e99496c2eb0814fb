"""TLS as the settings say: to NATS, and to a gateway."""

import ssl

from magi.cli.settings import NatsSettings, SettingsError
from magi.eventstore.tls import BadTlsFile, client_context


def nats_tls(nats: NatsSettings) -> ssl.SSLContext | None:
    """For the connection to NATS; None when nothing asks for TLS. Raises SettingsError."""
    if not (nats.url.startswith(("tls://", "wss://")) or nats.tls_ca or nats.tls_cert):
        return None
    try:
        return client_context(nats.tls_ca, nats.tls_cert, nats.tls_key)
    except BadTlsFile as error:
        raise SettingsError(f"nats.tls: {error}") from error


def gateway_tls(url: str, ca: str) -> ssl.SSLContext | None:
    """For a connection to the gateway at `url`, checked against the CAs of the file `ca`. Raises SettingsError."""
    if not url.startswith(("wss://", "https://")):
        return None
    try:
        return client_context(ca)
    except BadTlsFile as error:
        raise SettingsError(f"gateway.tls_ca: {error}") from error
