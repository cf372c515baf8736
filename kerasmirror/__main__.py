"""`python -m kerasmirror COMMAND`: the commands of this package."""

import argparse
import sys

from kerasmirror.commands import experiment, info, run, swap, warm
from kerasmirror.parity import __main__ as parity

_COMMANDS = {
    "info": (info, "versions, CPU, threads, folder of compiled kernels, memory"),
    "warm": (warm, "compile the kernels of common networks into the cache"),
    "run": (run, "run a Keras script on this package, without an edit"),
    "swap": (swap, "let files import kerasmirror instead of Keras, and list what is missing"),
    "experiment": (experiment, "train networks of the paper's kind in both packages, with records"),
}

_INTERRUPTED = 130  # as shells tell the signal


def main(arguments=None):
    """Run the command that `arguments` (default: the command line) name; gives its exit status.

    Ctrl-C ends it with status 130; what a script does on Ctrl-C under `run` is its own affair.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return _command(arguments)
    except KeyboardInterrupt:
        if arguments[:1] == ["run"]:
            raise
        print(f"{arguments[0]}: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _command(arguments):
    if arguments[:1] == ["parity"]:
        return parity.main(arguments[1:])  # it has a parser of its own, --help included
    parser = argparse.ArgumentParser(
        prog="python -m kerasmirror", description="Keras 3's API on home-made layers and kernels."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    own = {}
    for name, (command, about) in _COMMANDS.items():
        own[name] = commands.add_parser(name, help=about, description=about)
        command.add_arguments(own[name])
    commands.add_parser("parity", help="compare a model with real Keras")
    options = parser.parse_args(arguments)
    return _COMMANDS[options.command][0].run(options, own[options.command])


if __name__ == "__main__":
    sys.exit(main())
