"""The sides that scripts/bench_vs_tensorflow.py and bench_sweeps.py measure, and where they are."""

import json
import subprocess
import sys
from typing import NamedTuple

OURS = "kerasmirror"


class Peer(NamedTuple):
    """A side: how it is called in tables, which program measures it, which packages that needs."""

    title: str
    program: str
    package: str
    needs: tuple
    backend: str | None = None


PEERS = {
    "tensorflow": Peer(
        "Keras on TensorFlow", "timing_child.py", "keras", ("keras", "tensorflow"), "tensorflow"
    ),
    "jax": Peer("Keras on JAX", "timing_child.py", "keras", ("keras", "jax"), "jax"),
    "torch": Peer("Keras on PyTorch", "timing_child.py", "keras", ("keras", "torch"), "torch"),
    "onnxruntime": Peer(
        "ONNX Runtime", "timing_onnxruntime.py", "onnxruntime", ("onnx", "onnxruntime")
    ),
    "torch-native": Peer("PyTorch's own words", "timing_torch.py", "torch", ("torch",)),
}
SIDES = {OURS: Peer(OURS, "timing_child.py", "kerasmirror", ()), **PEERS}
BACKENDS = tuple(name for name, peer in PEERS.items() if peer.backend)

# Prints what another interpreter has of the packages in its arguments: name to version.
_PROBE = """
import importlib.metadata, importlib.util, json, sys
found = {}
for name in sys.argv[1:]:
    if importlib.util.find_spec(name):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "of unknown version"
print(json.dumps(found))
"""


def versions_in(python, names):
    """Name to version of the installed ones among `names`, in the environment of `python`.

    A text instead of the dictionary says why the interpreter does not run.
    """
    try:
        done = subprocess.run([python, "-c", _PROBE, *names], capture_output=True, text=True)
    except OSError as error:
        return f"{python} does not run: {error.strerror}"
    if done.returncode:
        return f"{python} does not run: {done.stderr.strip()[-200:]}"
    return json.loads(done.stdout)


def interpreters(texts):
    """{peer: interpreter} from texts such as "jax=/a/python"; "this" and no text mean our own."""
    found = dict.fromkeys(SIDES, sys.executable)
    for text in texts or []:
        name, _, path = text.partition("=")
        if name not in PEERS or not path:
            sys.exit(
                f"--python: must be PEER=INTERPRETER with a peer of {', '.join(PEERS)}. "
                f"Received: {text}"
            )
        if path != "this":
            found[name] = path
    return found


def available(names, pythons):
    """(those that can be measured, their packages' versions); prints why others cannot."""
    found, versions = [], {}
    for name in names:
        if name not in PEERS:
            sys.exit(f"--peers: must be among {', '.join(PEERS)}. Received: {name}")
        has = versions_in(pythons[name], PEERS[name].needs)
        if isinstance(has, str):
            print(f"{name}: left out, {has}", file=sys.stderr)
            continue
        missing = [need for need in PEERS[name].needs if need not in has]
        if missing:
            print(f"{name}: left out, {' and '.join(missing)} not installed", file=sys.stderr)
            continue
        found.append(name)
        versions |= has
    return found, versions


def add_arguments(parser, default):
    """--peers and --python."""
    parser.add_argument(
        "--peers", default=default, help=f"of {', '.join(PEERS)}; default {default}"
    )
    parser.add_argument(
        "--python",
        action="append",
        metavar="PEER=INTERPRETER",
        help="the Python that has a peer's packages (default: this one); may be repeated",
    )


def named(text):
    """The names of --peers; none for an empty text."""
    return [name for name in text.split(",") if name]
