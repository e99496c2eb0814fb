"""MAGI's event store for the `eventsourcing` library: ``PERSISTENCE_MODULE=magi.eventstore.persistence``.

The library is imported in this package and nowhere else. It is where our vocabulary comes from, what our store proves
itself against (`tests/eventstore/test_eventsourcing_conformance.py`), and how a request is looked at as it was at a
version (`repository`). It is synchronous, so nothing of it is in the path of a request.
"""

from magi.eventstore.persistence.factory import JetStreamFactory

__all__ = ["JetStreamFactory"]  # one factory class and no other: the library looks for it among this module's names
