"""How each part gets into NATS: its seed, and what it may do there, as users of a nats-server."""

from pathlib import Path

from magi.cli.settings import SettingsError
from magi.embedded import nkey
from magi.embedded.files import write_atomically
from magi.embedded.users import NatsEdge, NatsService, NatsUser
from magi.eventstore.rights import COMPONENTS, EDGE_FEEDS, EDGE_SERVICES, Component, component_rights

EDGE = NatsEdge(tuple(NatsService(service.subject, service.streamed) for service in EDGE_SERVICES), EDGE_FEEDS)


def seed_file(directory: Path, component: Component) -> Path:
    """Where a component's seed is, below `nats.seed_dir`."""
    return directory / f"{component}.seed"


def component_users(directory: Path) -> list[NatsUser]:
    """Every component with what it may do. Seeds that are not in `directory` are made (0600). Raises EmbeddedError."""
    users = []
    for component in COMPONENTS:
        rights = component_rights(component)
        public = nkey.kept(seed_file(directory, component))
        users.append(NatsUser(public, rights.publish, rights.subscribe, rights.account))
    return users


def make_secret_folder(directory: Path) -> None:
    """A folder for seeds and keys (0700) that no repository takes in. Raises SettingsError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        ignored = directory / ".gitignore"
        if not ignored.exists():
            write_atomically(ignored, b"# Secrets: not for a repository.\n*\n")
    except OSError as error:
        raise SettingsError(f"{directory}: no folder can be made there: {error.strerror}") from None
