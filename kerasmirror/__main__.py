"""`python -m kerasmirror info | warm | parity | run | swap`: the commands of this package."""

import argparse
import sys

from kerasmirror.commands import info, run, swap, warm
from kerasmirror.parity import __main__ as parity


def main(arguments=None):
    """Run the command that `arguments` (default: the command line) name; gives its exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["parity"]:
        return parity.main(arguments[1:])  # it has a parser of its own, --help included
    parser = argparse.ArgumentParser(
        prog="python -m kerasmirror", description="Keras 3's API on home-made layers and kernels."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    about = "versions, CPU, threads, folder of compiled kernels, memory"
    info.add_arguments(commands.add_parser("info", help=about, description=about))
    about = "compile the kernels of common networks into the cache"
    warming = commands.add_parser("warm", help=about, description=about)
    warm.add_arguments(warming)
    commands.add_parser("parity", help="compare a model with real Keras")
    about = "run a Keras script on this package, without an edit"
    running = commands.add_parser("run", help=about, description=about)
    run.add_arguments(running)
    about = "let files import kerasmirror instead of Keras, and list what is missing"
    swapping = commands.add_parser("swap", help=about, description=about)
    swap.add_arguments(swapping)
    options = parser.parse_args(arguments)
    if options.command == "info":
        return info.run(options)
    command, own_parser = {
        "warm": (warm, warming),
        "run": (run, running),
        "swap": (swap, swapping),
    }[options.command]
    return command.run(options, own_parser)


if __name__ == "__main__":
    sys.exit(main())
