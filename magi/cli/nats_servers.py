"""`magi nats servers`: whole configurations for nats-servers of one's own, one alone or three as a cluster."""

import re
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from magi.cli.context import Context, run_async
from magi.cli.directory import open_directory, read_directory
from magi.cli.local import nats_users
from magi.cli.nats_access import EDGE, component_users, make_secret_folder
from magi.cli.options import Data
from magi.embedded.cluster_config import CLIENT_PORT, ROUTE_PORTS, ServerPlace, ServerTls, render_server
from magi.embedded.files import write_atomically
from magi.embedded.users import NatsUser, render

CONFIGURATION, USERS = "nats-server.conf", "magi-users.conf"
SIZES = (1, 3, 5)
"""A cluster votes: of two servers none may be missing, of four as many as of three."""
_PLACE = re.compile(r"(?P<name>[A-Za-z0-9_-]{1,32})=(?P<host>\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+)(:(?P<port>\d{1,5}))?\Z")
_STORAGE = re.compile(r"[1-9]\d*(MB|GB|TB)\Z")


def servers(
    places: Annotated[
        list[str],
        typer.Argument(metavar="NAME=HOST[:PORT]...", help="The servers, one or three; the port is 4222 if not said."),
    ],
    out: Annotated[Path, typer.Option(help="A folder for the configurations: one folder for each server is made.")],
    seeds: Annotated[
        Path | None,
        typer.Option(
            help="Where the parts' seeds are, or are to be written.", show_default="keys/ in the data directory"
        ),
    ] = None,
    store_dir: Annotated[str, typer.Option(help="Where the servers store; each has a folder of its name in it.")] = (
        "/var/lib/nats"
    ),
    max_file_store: Annotated[str, typer.Option(help="What each may store: four fifths of its disk.")] = "100GB",
    monitor_host: Annotated[
        str, typer.Option(help="Where each listens for monitoring: it asks nobody who they are.")
    ] = "127.0.0.1",
    tls_cert: Annotated[
        str | None, typer.Option(help="The file with each server's certificate, on its machine.")
    ] = None,
    tls_key: Annotated[str | None, typer.Option(help="The file with its key.")] = None,
    tls_ca: Annotated[str | None, typer.Option(help="The file with the CA of all their certificates.")] = None,
    voters: Annotated[
        bool, typer.Option("--voters", help="With the voters of the running MAGI that have keys of their own.")
    ] = False,
    data: Data = None,
) -> None:
    """Write the configurations of nats-servers with the parts' users and rights. What is there is written anew."""
    ctx = Context.load(data)
    cluster = _parse(places)
    if not _STORAGE.match(max_file_store):
        raise typer.BadParameter("expected a size such as 500MB or 200GB", param_hint="--max-file-store")
    tls = _tls(tls_cert, tls_key, tls_ca)
    sync = ctx.settings.nats.sync_interval
    keys = (seeds or ctx.data / "keys").absolute()
    registered = run_async(_registered(ctx)) if voters else []
    for folder in (keys, out):
        make_secret_folder(folder)
    users = render("", [*component_users(keys), *registered], EDGE)
    password = _kept_password(out / "routes.password")
    for place in cluster:
        folder = out / place.name
        make_secret_folder(folder)
        text = render_server(
            place,
            cluster,
            store_dir=f"{store_dir.rstrip('/')}/{place.name}",
            max_file_store=max_file_store,
            sync_interval="2m" if sync == "any" else sync,
            users_file=f"./{USERS}",
            route_password=password,
            monitor_host=monitor_host,
            tls=tls,
        )
        write_atomically(folder / CONFIGURATION, text.encode())
        write_atomically(folder / USERS, users)
        sys.stderr.write(f"magi: {place.name}: copy {folder} to {place.host}, run nats-server -c {CONFIGURATION}\n")
    scheme = "tls" if tls else "nats"
    urls = ",".join(f"{scheme}://{place.host}:{place.port}" for place in cluster)
    sys.stderr.write(f'magi: for magi.toml:\n[nats]\nurl = "{urls}"\nseed_dir = "{keys}"\n')
    sys.stderr.write(
        f'monitor_url = "http://{monitor_host}:{cluster[0].monitor_port}"\nreplicas = {min(3, len(cluster))}\n'
    )


def _parse(texts: list[str]) -> list[ServerPlace]:
    cluster = []
    for text in texts:
        found = _PLACE.match(text)
        port = int(found["port"] or CLIENT_PORT) if found else 0
        if not found or not 0 < port < 2**16 - 2 * ROUTE_PORTS:
            raise typer.BadParameter(f"{text}: expected NAME=HOST or NAME=HOST:PORT, such as n1=10.0.0.1")
        cluster.append(ServerPlace(found["name"], found["host"].strip("[]"), port))
    if len(cluster) not in SIZES:
        raise typer.BadParameter("expected one server, three or five: of two neither may be missing")
    taken = [(p.host, port) for p in cluster for port in (p.port, p.route_port, p.monitor_port)]
    if len({place.name for place in cluster}) < len(cluster) or len(set(taken)) < len(taken):
        raise typer.BadParameter(
            f"two servers have one name, or one port: routes are {ROUTE_PORTS} above a server's port, and monitoring "
            "twice that"
        )
    return cluster


def _tls(cert: str | None, key: str | None, ca: str | None) -> ServerTls | None:
    if not (cert or key or ca):
        return None
    if not (cert and key and ca):
        raise typer.BadParameter("TLS needs --tls-cert, --tls-key and --tls-ca")
    return ServerTls(cert, key, ca)


def _kept_password(file: Path) -> str:
    """What the servers tell each other: the same when this is called again, since it is on all of them."""
    if not file.exists():
        write_atomically(file, secrets.token_urlsafe(24).encode() + b"\n")
    return file.read_text().strip()


async def _registered(ctx: Context) -> list[NatsUser]:
    async with open_directory(ctx) as store:
        return nats_users(await read_directory(store))
