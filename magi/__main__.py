from magi.cli.main import run

run()
