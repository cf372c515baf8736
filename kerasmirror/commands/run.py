"""`python -m kerasmirror run SCRIPT`: run a Keras script on this package, without an edit."""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

from kerasmirror.standin import install_as_keras


def add_arguments(parser):
    """The command's own options; what follows the script is the script's."""
    parser.add_argument(
        "--tensorflow",
        choices=("small", "real"),
        default="small",
        help="what `import tensorflow` gives: the names of it that Keras scripts use, on "
        "kerasmirror's tensors (default), or the TensorFlow that is installed",
    )
    parser.add_argument(
        "-m", dest="module", action="store_true", help="SCRIPT is a module's name, as in python -m"
    )
    parser.add_argument("script", metavar="SCRIPT", help="a Python file that uses Keras")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="...", help="the script's own arguments"
    )


def run(options, parser):
    """Run the script as Python would; its exceptions and its exit status are its own."""
    path = Path(options.script)
    if not options.module and not path.is_file():
        parser.error(f"SCRIPT must be a Python file. Received: {options.script}")
    try:
        install_as_keras(tensorflow=options.tensorflow == "small")
    except RuntimeError as error:
        parser.error(str(error))
    sys.argv = [options.script, *options.arguments]
    if options.module:
        sys.path[0] = ""
        runpy.run_module(options.script, run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(path.resolve().parent)
        runpy.run_path(options.script, run_name="__main__")
    return 0
