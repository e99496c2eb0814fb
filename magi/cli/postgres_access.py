"""Where Postgres is, with its password kept in a file: an URL that may be noted, and handed to other processes."""

from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from magi.embedded.files import write_atomically


def without_password(url: str, passfile: Path) -> str:
    """The same without the password, which is written to `passfile` (0600) and named there for libpq.

    Without a password it stays as it is. It may be in the form of libpq's ``key=value``, too. Raises OSError.
    """
    if "://" not in url:
        return _of_pairs(url, passfile)
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    who, at, where = parts.netloc.rpartition("@")
    user, colon, password = who.partition(":")
    password = unquote(password) if colon else query.pop("password", "")
    query.pop("password", None)
    if not password:
        return url
    _keep(password, passfile)
    query["passfile"] = str(passfile)
    return parts._replace(netloc=f"{user}{at}{where}", query=urlencode(query, safe="/", quote_via=quote)).geturl()


def shown(url: str) -> str:
    """The same for a screen."""
    scheme, there, rest = url.partition("://")
    if there:
        who, at, where = rest.rpartition("@")
        where, asked, query = where.partition("?")
        pairs = "&".join(_pair_shown(pair) for pair in query.split("&"))
        return f"{scheme}://{'…@' if who or at else ''}{where}{asked}{pairs}"
    return "…" if "password" in url else url


def _pair_shown(pair: str) -> str:
    name, _, _ = pair.partition("=")
    return f"{name}=…" if "password" in unquote(name) else pair


def _of_pairs(text: str, passfile: Path) -> str:
    if "password" not in text:
        return text
    from psycopg import ProgrammingError, conninfo  # here: few write it so, and it takes a tenth of a second

    try:
        pairs = conninfo.conninfo_to_dict(text)
    except ProgrammingError:
        return text  # whoever connects will say so
    password = pairs.pop("password", None)
    if not password:
        return text
    _keep(str(password), passfile)
    return conninfo.make_conninfo("", **pairs, passfile=str(passfile))


def _keep(password: str, passfile: Path) -> None:
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    write_atomically(passfile, f"*:*:*:*:{escaped}\n".encode())
