"""`python -m kerasmirror warm`: compile the kernels of common networks into the cache.

A kernel is compiled for the types of its arguments, not for their sizes. So what a few training
steps of small networks launch, which between them take every path that common layers take, is all
there is to compile for the networks of a user. The steps are only noted, which takes a second, and
the kernels then compiled by as many processes as there are cores.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from kerasmirror import callbacks, initializers, layers, losses, models, optimizers
from kerasmirror.commands import ahead
from kerasmirror.commands.info import cache_contents, megabytes
from kerasmirror.commands.machine import cores
from kerasmirror.kernels import cache, for_device, helpers

# Large enough for every kernel to be shared out to threads, whose launcher is compiled too.
BATCH = 64
_CLASSES = 10


def _dense(units=(128,), shape=(28, 28, 1)):
    hidden = [layers.Dense(n, "relu", kernel_initializer="he_uniform") for n in units]
    dropouts = [layers.Dropout(0.25) for _ in units]
    middle = [layer for pair in zip(hidden, dropouts, strict=True) for layer in pair]
    last = layers.Dense(_CLASSES, activation="softmax")
    return [layers.Input(shape), layers.Flatten(), *middle, last]


def _convolution(shape, *middle):
    last = [layers.Flatten(), layers.Dense(_CLASSES, activation="softmax")]
    return [layers.Input(shape), *middle, *last]


def _conv(filters, window, **options):
    return layers.Conv2D(filters, window, **{"padding": "same", "activation": "relu", **options})


def _small_windows():
    """3 x 3 of few and of many channels, which are convolved by different algorithms."""
    return [
        _convolution((16, 16, 3), _conv(32, 3), _conv(32, 3), layers.MaxPooling2D(2)),
        _convolution((14, 14, 1), _conv(32, 3), _conv(64, 3), layers.MaxPooling2D(2)),
        _convolution((16, 16, 1), _conv(8, 3), _conv(16, 3), layers.MaxPooling2D(4)),
        _convolution((7, 7, 64), _conv(128, 3), _conv(128, 3), layers.MaxPooling2D(2)),
    ]


def _large_windows():
    return [
        _convolution((28, 28, 1), _conv(32, 5), _conv(32, 5), layers.MaxPooling2D(2)),
        _convolution((28, 28, 1), _conv(64, 7), layers.MaxPooling2D(2), _conv(128, 5)),
        _convolution((32, 32, 1), _conv(8, 5), _conv(8, 5), layers.MaxPooling2D(4)),
        _convolution((32, 32, 3), _conv(16, 9), layers.MaxPooling2D(2)),
    ]


def _strided():
    return [
        _convolution((16, 16, 3), _conv(16, 3, strides=2), _conv(16, 1), _conv(16, 3, groups=2)),
        _convolution((17, 17, 8), _conv(32, 3, padding="valid", activation=None)),
        [
            layers.Input((32, 8)),
            layers.Conv1D(16, 3, activation="relu"),
            layers.MaxPooling1D(2),
            layers.GlobalMaxPooling1D(),
            layers.Dense(_CLASSES, activation="softmax"),
        ],
    ]


def _normalized():
    pooled = [layers.AveragePooling2D(2), layers.GlobalAveragePooling2D()]
    convolved = [_conv(32, 3, activation=None), layers.BatchNormalization(), layers.ReLU()]
    return [
        [layers.Input((16, 16, 3)), *convolved, *pooled, layers.Dense(_CLASSES, "softmax")],
        [
            layers.Input((32,)),
            layers.Dense(64),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Dense(_CLASSES, activation="softmax"),
        ],
    ]


_ACTIVATIONS = ("sigmoid", "tanh", "elu", "selu", "gelu", "silu", "leaky_relu", "softplus")


def _activated():
    """One network through the activations that have formulas of their own."""
    middle = [layers.Dense(32, activation=name) for name in _ACTIVATIONS]
    middle += [layers.Dense(32, use_bias=False), layers.Activation("relu")]
    return [[layers.Input((32,)), *middle, layers.Dense(_CLASSES, activation="softmax")]]


def _sequences():
    """Words as numbers through recurrent layers, and steps that are normalized."""
    words, last = layers.Embedding(100, 16), layers.Dense(_CLASSES, activation="softmax")
    normalized = [layers.LayerNormalization(), layers.GlobalAveragePooling1D()]
    return [
        [layers.Input((8,)), words, layers.LSTM(16, return_sequences=True), layers.GRU(16), last],
        [layers.Input((8, 4)), layers.SimpleRNN(16, return_sequences=True), *normalized]
        + [layers.Dense(_CLASSES, activation="softmax")],
    ]


def _data(shape, targets):
    rng = np.random.default_rng(1)
    x = rng.random((2 * BATCH, *shape), dtype=np.float32)
    if targets == "labels":
        return x, rng.integers(0, _CLASSES, 2 * BATCH)
    y = rng.random((2 * BATCH, _CLASSES), dtype=np.float32)
    return x, y / y.sum(1, keepdims=True)


def _train(stack, loss="sparse_categorical_crossentropy", optimizer="adam", whole=True):
    """Two steps of `fit`; unless told otherwise `evaluate` and `predict` too, also of one row."""
    model = models.Sequential(stack)
    labels = loss == "sparse_categorical_crossentropy"
    x, y = _data(model.input_shape[1:], "labels" if labels else "vectors")
    model.compile(optimizer, loss, metrics=["accuracy"] if labels else None)
    model.fit(x, y, batch_size=BATCH, verbose=0, callbacks=[callbacks.History()])
    if whole:
        model.evaluate(x, y, batch_size=BATCH, verbose=0)
        model.predict(x, batch_size=BATCH, verbose=0)
        model.predict(x[:1], verbose=0)


_LOSSES = (
    "categorical_crossentropy",
    "binary_crossentropy",
    "mean_squared_error",
    "mean_absolute_error",
    "huber",
)
_INITIALIZERS = ("glorot_normal", "he_normal", "random_normal", "lecun_uniform", "orthogonal")


def _optimizers():
    """The update rules that scripts choose most."""
    momentum = optimizers.SGD(0.01, momentum=0.9, nesterov=True)
    clipped = optimizers.Adam(1e-3, clipnorm=1.0)
    return ["sgd", momentum, "rmsprop", "adagrad", "adamw", "nadam", "adamax", clipped]


# What there is to warm: for each subject a function that gives its runs.
SUBJECTS = {
    "dense": lambda: [
        lambda: _train(_dense((512, 128))),
        lambda: _train(_dense((64, 8), (64, 64, 1))),
    ],
    "convolution": lambda: [
        lambda stack=stack: _train(stack)
        for stack in (*_small_windows(), *_large_windows(), *_strided())
    ],
    "normalization": lambda: [lambda stack=stack: _train(stack) for stack in _normalized()],
    "sequences": lambda: [lambda stack=stack: _train(stack) for stack in _sequences()],
    "activations": lambda: [lambda stack=stack: _train(stack) for stack in _activated()],
    "losses": lambda: [
        lambda name=name: _train(_dense((16,)), losses.get(name), whole=False) for name in _LOSSES
    ],
    "optimizers": lambda: [
        lambda rule=rule: _train(_dense((16,)), optimizer=rule, whole=False)
        for rule in _optimizers()
    ],
    "initializers": lambda: [
        lambda name=name: initializers.get(name)((64, 64)) for name in _INITIALIZERS
    ],
}


def notes_of(subjects):
    """The (kernel, arguments) that the runs of `subjects` need."""

    def run_all():
        for subject in subjects:
            for call in SUBJECTS[subject]():
                call()

    return ahead.notes_of(run_all)


def compile_part(notes, part, parts):
    """Compile one of `parts` equal parts of `notes`; gives a line of text after each kernel."""
    for kernel, args in itertools.islice(notes, part, None, parts):
        kernel.compile_for_others(args)
        yield kernel.name


def work():
    """A process of `run`: the subjects, its part and the number of parts come from its input."""
    subjects, part, parts = json.loads(sys.stdin.readline())
    for name in compile_part(notes_of(subjects), part, parts):
        print(name, flush=True)


def _start_worker(subjects, part, parts):
    """A process that compiles a part, or None where none can be started."""
    try:
        worker = helpers.python("from kerasmirror.commands import warm; warm.work()")
    except OSError:
        return None
    worker.stdin.write(json.dumps([subjects, part, parts]).encode() + b"\n")
    worker.stdin.close()
    return worker


def _compile(subjects, notes, advance):
    """Compile `notes` in as many processes as there are cores, this one included."""
    parts = min(cores(), len(notes))
    workers = [_start_worker(subjects, part, parts) for part in range(1, parts)]
    readers = []
    try:
        for worker in filter(None, workers):
            readers.append(threading.Thread(target=_pass_on, args=(worker.stdout, advance)))
            readers[-1].start()
        for part, worker in enumerate([None, *workers]):
            if worker is None:
                for name in compile_part(notes, part, parts):
                    advance(name)
        failed = [worker.wait() for worker in filter(None, workers)]
    finally:
        for worker in filter(None, workers):
            worker.kill()
            worker.wait()
        for reader in readers:
            reader.join()
    if any(failed):
        # Whatever ended a process: its part is done here, where an error is seen.
        for name in compile_part(notes, 0, 1):
            advance(name)


def _pass_on(lines, advance):
    for line in lines:
        advance(line.decode().strip())
    lines.close()


def add_arguments(parser):
    """The command's own options."""
    parser.add_argument(
        "subjects",
        nargs="*",
        metavar="SUBJECT",
        help=f"what to compile, of {', '.join(SUBJECTS)} (default: all of it)",
    )


def run(options, parser):
    """Compile, with a progress bar; exit status 0."""
    for subject in options.subjects:
        if subject not in SUBJECTS:
            parser.error(f"SUBJECT must be one of {', '.join(SUBJECTS)}. Received: {subject}")
    console = Console(soft_wrap=True)
    chosen = list(dict.fromkeys(options.subjects)) or list(SUBJECTS)
    before, start = cache_contents()[0], time.perf_counter()
    columns = (
        TextColumn("{task.description:24s}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("what is needed", total=None)
        notes = notes_of(chosen)
        for_device("cpu").noting.compile_launchers()
        progress.update(task, total=len(notes))

        def advance(name):
            progress.update(task, description=name.strip("_"), advance=1)

        _compile(chosen, notes, advance)
    kernels, size = cache_contents()
    seconds = time.perf_counter() - start
    console.print(
        f"Compiled {kernels - before} kernels in {seconds:.1f} s; {kernels} kernels, "
        f"{megabytes(size)}, are in {cache.cache_root()}",
        markup=False,
        highlight=False,
    )
    return 0
