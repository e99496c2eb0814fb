"""The configuration of nats-servers that are run by somebody else, alone or as a cluster. Pure."""

import json
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

CLIENT_PORT: Final = 4222
ROUTE_PORTS: Final = 2000
"""So far above a server's port is the one for its routes, 6222, and twice as far the one for monitoring, 8222: the
numbers that everybody uses."""
ROUTE_USER: Final = "magi"


class ServerTls(Struct, frozen=True):
    """Files on the servers' machines, in PEM."""

    cert: str
    key: str
    ca: str
    """What routes of the other servers are checked against."""


class ServerPlace(Struct, frozen=True):
    """One server: its name, unique in the cluster, and where it listens."""

    name: str
    host: str
    port: int = CLIENT_PORT

    @property
    def route_port(self) -> int:
        return self.port + ROUTE_PORTS

    @property
    def monitor_port(self) -> int:
        return self.port + 2 * ROUTE_PORTS


def render_server(
    place: ServerPlace,
    cluster: Sequence[ServerPlace],
    *,
    store_dir: str,
    max_file_store: str,
    sync_interval: str,
    users_file: str,
    route_password: str,
    monitor_host: str,
    tls: ServerTls | None = None,
) -> str:
    """`nats-server.conf` of the server at `place`, one of `cluster`; with none besides it, it is alone.

    `max_file_store` is a size as nats-server reads it (``200GB``). The bounds are those of `streams/nats-server.conf`,
    where the reasons stand.
    """
    parts = [
        f"# nats-server for MAGI, made by `magi nats servers`. {place.name} is one of {len(cluster)}.",
        f"server_name: {json.dumps(place.name)}",
        f'listen: "{_address(place.host, place.port)}"',
        "# Asks nobody who they are: MAGI's parts read here when the server syncs, and how full it is.",
        f'http: "{_address(monitor_host, place.monitor_port)}"',
        "",
        "jetstream {",
        f"  store_dir: {json.dumps(store_dir)}",
        f'  sync_interval: "{sync_interval}"',
        f"  max_file_store: {max_file_store}   # nats-server refuses when it is full; the disk should never be",
        "  max_memory_store: 64MB",
        "}",
        "",
        "max_payload: 4MB",
        "max_pending: 64MB",
        'write_deadline: "10s"',
        'ping_interval: "20s"',
        "ping_max: 2",
    ]
    if tls:
        parts += ["", *_tls(tls, "", verify=False)]
    if len(cluster) > 1:
        parts += ["", *_cluster(place, cluster, route_password, tls)]
    parts += ["", f"include {json.dumps(users_file)}", ""]
    return "\n".join(parts)


def _cluster(place: ServerPlace, cluster: Sequence[ServerPlace], password: str, tls: ServerTls | None) -> list[str]:
    others = [f'    "nats://{ROUTE_USER}:{password}@{_address(p.host, p.route_port)}"' for p in cluster if p != place]
    return [
        "cluster {",
        "  name: magi",
        f'  listen: "{_address(place.host, place.route_port)}"',
        f'  authorization {{ user: {ROUTE_USER}, password: "{password}", timeout: 5 }}',
        *(_tls(tls, "  ", verify=True) if tls else ()),
        "  routes: [",
        *others,
        "  ]",
        "}",
    ]


def _tls(tls: ServerTls, indent: str, *, verify: bool) -> list[str]:
    lines = [f"cert_file: {json.dumps(tls.cert)}", f"key_file: {json.dumps(tls.key)}"]
    if verify:  # a server shows its certificate to the others as well
        lines += [f"ca_file: {json.dumps(tls.ca)}", "verify: true"]
    return [f"{indent}tls {{", *(f"{indent}  {line}" for line in lines), f"{indent}}}"]


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
