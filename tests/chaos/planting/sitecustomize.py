"""Python imports this at its start when this folder is on its path: a part of MAGI begins with bugs planted in it."""

from tests.chaos.mutants import plant

plant()
