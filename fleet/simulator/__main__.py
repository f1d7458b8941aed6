"""`python -m fleet.simulator`: the simulator without Django. The demo uses it."""

import argparse

from fleet.simulator import cli

parser = argparse.ArgumentParser(prog="python -m fleet.simulator", description=cli.__doc__)
cli.add_arguments(parser)
cli.run(vars(parser.parse_args()))
