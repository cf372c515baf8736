"""`python -m kerasmirror.parity FILE:FUNCTION`: compare a model by hand.

FUNCTION(keras) gives a model with a known input shape; inputs are random, targets too.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys

import numpy as np

import kerasmirror
from kerasmirror.parity import compare_model


def main(arguments=None):
    """Compare as `arguments` (default: the command line) say, print; status 1 if they differ."""
    parser = argparse.ArgumentParser(prog="python -m kerasmirror.parity", description=__doc__)
    parser.add_argument("model", help="FILE:FUNCTION, where FUNCTION(keras) gives a model")
    parser.add_argument("--loss", default="sparse_categorical_crossentropy")
    parser.add_argument("--optimizer", default="adam")
    parser.add_argument("--steps", type=int, default=20, help="training steps to compare")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    file, _, name = options.model.partition(":")
    spec = importlib.util.spec_from_file_location("parity_model", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules["parity_model"] = module
    spec.loader.exec_module(module)
    build = getattr(module, name or "build")
    model = build(kerasmirror)
    rng = np.random.default_rng(options.seed)
    x = rng.random((options.samples, *model.input_shape[1:]), dtype=np.float32)
    if options.loss.startswith("sparse"):
        y = rng.integers(0, model.output_shape[-1], options.samples)
    else:
        y = rng.random((options.samples, *model.output_shape[1:]), dtype=np.float32)
    report = compare_model(
        build,
        x,
        y,
        options.loss,
        options.optimizer,
        options.steps,
        options.batch_size,
        options.seed,
    )
    print(report)
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
