"""What the projections' tests have: a Postgres, streams, and projectors between them."""

from tests.projections.conftest import bus, database, shared_postgres, world

__all__ = ["bus", "database", "shared_postgres", "world"]
