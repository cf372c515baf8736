"""The paper's experiments: networks as strings, ids, records, both packages side by side.

P. Klęsk: Understanding the Flows of Signals and Gradients: A Tutorial on Algorithms Needed to
Implement a Deep Neural Network from Scratch. Applied Sciences 14(21), 9972 (2024).
"""

from kerasmirror.experiments.description import Experiment
from kerasmirror.experiments.networks import StructureError, build, parse
from kerasmirror.experiments.record import Record, read_record, run_experiment

__all__ = [
    "Experiment",
    "Record",
    "StructureError",
    "build",
    "parse",
    "read_record",
    "run_experiment",
]
