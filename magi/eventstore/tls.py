"""TLS as a client: whom to trust, what to show, and what a failed handshake means in words."""

import ssl
from pathlib import Path

OLDEST = ssl.TLSVersion.TLSv1_2

_EXPIRED, _NOT_YET = 10, 9
_UNKNOWN_CA = frozenset({2, 18, 19, 20, 21, 27})
_OTHER_NAME = frozenset({62, 64})


class BadTlsFile(Exception):
    """A file with certificates or a key can't be used. The message names it."""


def client_context(ca: str = "", cert: str = "", key: str = "") -> ssl.SSLContext:
    """Trusts the CAs of the file `ca`, or the system's; shows the certificate of the file `cert` to who asks for one.

    Names are checked. Raises BadTlsFile.
    """
    try:
        context = ssl.create_default_context(cafile=ca or None)
    except (OSError, ValueError) as error:
        raise BadTlsFile(f"{ca}: {_why(error, 'no certificates in PEM in it')}") from error
    context.minimum_version = OLDEST
    if cert:
        load_certificate(context, Path(cert), Path(key or cert))
    return context


def load_certificate(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Raises BadTlsFile, which names the file and holds nothing of the key."""
    for file in (cert, key):
        try:
            file.read_bytes()
        except OSError as error:
            raise BadTlsFile(f"{file}: {error.strerror}") from error
    try:
        # A password would be asked for at the terminal, of all places.
        context.load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        if "MISMATCH" in (error.reason or ""):
            raise BadTlsFile(f"{key}: it is not the key of the certificate in {cert}") from error
        raise BadTlsFile(f"{cert}, {key}: no certificate and its key in PEM in them") from error
    except ValueError as error:
        raise BadTlsFile(f"{key}: it wants a password; expected a key without one") from error


def explain(error: BaseException) -> str:
    """What a failed handshake means: "" when it was no failure of TLS."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, ssl.SSLError):
        seen = seen.__cause__ or seen.__context__
    if seen is None:
        return ""
    if isinstance(seen, ssl.SSLCertVerificationError):
        code = seen.verify_code
        if code == _EXPIRED:
            return "its certificate has expired, or the clock here is wrong"
        if code == _NOT_YET:
            return "its certificate isn't valid yet, or the clock here is wrong"
        if code in _UNKNOWN_CA:
            return "its certificate is signed by no CA that is trusted here"
        if code in _OTHER_NAME:
            return f"its certificate is another server's: {seen.verify_message}"
        return f"its certificate can't be trusted: {seen.verify_message}"
    reason = (seen.reason or "").lower().replace("_", " ")
    if "wrong version number" in reason:
        return "it doesn't speak TLS"
    if "certificate required" in reason or "alert" in reason:
        return f"it broke the TLS handshake off: {reason}"
    return f"TLS: {reason or seen}"


def _no_password() -> str:
    raise ValueError("a password is wanted")


def _why(error: OSError | ValueError, otherwise: str) -> str:
    if isinstance(error, ssl.SSLError) or not isinstance(error, OSError):
        return otherwise
    return error.strerror or otherwise
