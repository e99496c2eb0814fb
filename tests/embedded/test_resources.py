import os

from magi.embedded.resources import nats_server_configuration, nats_server_program, postgres_programs


def test_the_wheels_programs_are_found() -> None:
    assert os.access(nats_server_program(), os.X_OK)
    assert os.access(postgres_programs() / "initdb", os.X_OK)


def test_the_configuration_is_found() -> None:
    assert "jetstream" in nats_server_configuration().read_text()
