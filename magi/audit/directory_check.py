"""The directory's own histories: their chains are checked too, since authority is judged by them."""

from collections.abc import Iterable

from magi.audit.authority import Registry
from magi.audit.chain import START, Link, check_link
from magi.audit.events import digest, directory_event, parts
from magi.audit.findings import Findings, Problem
from magi.domain.directory import DirectoryEvent
from magi.domain.initiator import InitiatorRegistered
from magi.domain.operations import OperatorActed
from magi.domain.template import PanelDefined
from magi.domain.voter import VoterRegistered
from magi.eventstore import subjects
from magi.eventstore.direct import StoredMessage
from magi.eventstore.history import CorruptHistory


def check_directory(messages: Iterable[StoredMessage], findings: Findings, last: int | None = None) -> Registry:
    """Who was what, and when, by the directory's messages in order; what is wrong with them is added to `findings`.

    `last` is the directory's last sequence when `messages` should be all of it: then none may be missing. That a
    revocation was taken out shows in no chain when nothing came after it.
    """
    registry = Registry()
    links: dict[str, Link] = {}
    before = 0
    for message in messages:
        if last is not None:
            findings.add(subjects.DIRECTORY, message.sequence, "", 0, _missing(before, message.sequence))
        before = message.sequence
        aggregate = message.subject.removeprefix(subjects.DIRECTORY_PREFIX)
        for data in parts(message.data):
            links[aggregate], problems = _check(links.get(aggregate, START), aggregate, data, registry)
            findings.add(subjects.DIRECTORY, message.sequence, aggregate, links[aggregate].version, problems)
    if last is not None:
        findings.add(subjects.DIRECTORY, 0, "", 0, _missing(before, last + 1))
    return registry


def _check(link: Link, aggregate: str, data: bytes, registry: Registry) -> tuple[Link, list[Problem]]:
    """Where the chain ends with the next event, and what is wrong with it; `registry` takes it in."""
    sha = digest(data).hex()
    try:
        event = directory_event(data)
    except CorruptHistory as error:
        return Link(link.version + 1, sha), [Problem("unreadable", str(error))]
    registry.apply(event)
    return Link(event.originator_version, sha), [*check_link(link, aggregate, event), *_check_first(link, event)]


def _missing(before: int, sequence: int) -> list[Problem]:
    """What is missing between two sequences."""
    if sequence <= before + 1:
        return []
    what = f"sequence {before + 1} is" if sequence == before + 2 else f"sequences {before + 1} to {sequence - 1} are"
    return [Problem("hole", f"{what} missing")]


def _check_first(link: Link, event: DirectoryEvent) -> list[Problem]:
    if isinstance(event, PanelDefined | OperatorActed):
        return []  # as often as one likes
    registers = isinstance(event, VoterRegistered | InitiatorRegistered)
    if registers and link.version:
        return [Problem("history", "registered a second time")]
    if not registers and not link.version:
        return [Problem("history", "something happened to it before it was registered")]
    return []
