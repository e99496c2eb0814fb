"""The directory's own histories: their chains are checked too, since authority is judged by them."""

from collections.abc import Iterable

from magi.audit.authority import Registry
from magi.audit.chain import START, Link, check_link
from magi.audit.events import digest, directory_event
from magi.audit.findings import Findings, Problem
from magi.domain.directory import DirectoryEvent
from magi.domain.initiator import InitiatorRegistered
from magi.domain.voter import VoterRegistered
from magi.eventstore import subjects
from magi.eventstore.direct import StoredMessage
from magi.eventstore.history import CorruptHistory


def check_directory(messages: Iterable[StoredMessage], findings: Findings) -> Registry:
    """Who was what, and when, by the directory's messages in order; what is wrong with them is added to `findings`."""
    registry = Registry()
    links: dict[str, Link] = {}
    for message in messages:
        aggregate = message.subject.removeprefix(subjects.DIRECTORY_PREFIX)
        link = links.get(aggregate, START)
        sha = digest(message.data).hex()
        try:
            event = directory_event(message.data)
        except CorruptHistory as error:
            links[aggregate] = Link(link.version + 1, sha)
            problem = Problem("unreadable", str(error))
            findings.add(subjects.DIRECTORY, message.sequence, aggregate, link.version + 1, [problem])
            continue
        problems = [*check_link(link, aggregate, event), *_check_first(link, event)]
        findings.add(subjects.DIRECTORY, message.sequence, aggregate, event.originator_version, problems)
        links[aggregate] = Link(event.originator_version, sha)
        registry.apply(event)
    return registry


def _check_first(link: Link, event: DirectoryEvent) -> list[Problem]:
    registers = isinstance(event, VoterRegistered | InitiatorRegistered)
    if registers and link.version:
        return [Problem("history", "registered a second time")]
    if not registers and not link.version:
        return [Problem("history", "something happened to it before it was registered")]
    return []
