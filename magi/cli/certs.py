"""`magi certs dev`: certificates of a CA of one's own, for trying TLS. `ca.pem` is what others are to trust."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from magi.cli.nats_access import make_secret_folder
from magi.cli.output import show
from magi.embedded.files import write_atomically

app = typer.Typer(name="certs", help="Certificates for trying TLS.", no_args_is_help=True)

HOSTS = ("localhost", "127.0.0.1", "::1")


@app.callback()
def certs() -> None:
    """Certificates for trying TLS."""


@app.command()
def dev(
    out: Annotated[Path | None, typer.Option(help="Where they are written.", show_default="./magi-certs")] = None,
    host: Annotated[list[str] | None, typer.Option(help="A further name or address of the server; repeatable.")] = None,
) -> None:
    """Make a CA, if there is none there, and a certificate for this machine, signed by it. Run again: a new one."""
    from magi.cli.dev_certs import Issued, issue, make_ca  # here: cryptography takes 40 ms to import

    folder = (out or Path("magi-certs")).absolute()
    make_secret_folder(folder)
    now = datetime.now(UTC)
    ca_file, ca_key = folder / "ca.pem", folder / "ca.key"
    if ca_file.exists() and ca_key.exists():
        ca = Issued(ca_file.read_bytes(), ca_key.read_bytes())
    else:
        ca = make_ca(now)
        write_atomically(ca_key, ca.key)
        write_atomically(ca_file, ca.certificate, mode=0o644)
    try:
        server = issue(ca, (*(host or ()), *HOSTS), now)
    except ValueError as error:
        raise typer.BadParameter(f"--host: {error}") from None
    write_atomically(folder / "server.key", server.key)
    write_atomically(folder / "server.pem", server.certificate, mode=0o644)
    show(f"In {folder}: ca.pem, which clients are to trust, and server.pem with server.key. For trying it only.")
    show(f"  magi serve --tls-cert {folder}/server.pem --tls-key {folder}/server.key --tls-ca {folder}/ca.pem")
    show(f"  magi submit --tls-ca {folder}/ca.pem --url wss://…")
