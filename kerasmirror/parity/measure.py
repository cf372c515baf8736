"""What is measured of a model, written against `keras`, which is either package.

The child processes load this file by its path, so it imports nothing of kerasmirror. `target` says
what to build (targets.py): a function that takes `keras`, or a dict.
"""

import contextlib
import functools
import importlib.util
import pathlib
import runpy
import sys
import time

import numpy as np

_FILES = {}


class _Captured(BaseException):
    """Ends a script where it starts to train: the model and the data are there."""


def _module_of(path):
    if path not in _FILES:
        spec = importlib.util.spec_from_file_location(f"parity_target_{len(_FILES)}", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # classes that are defined there look themselves up
        spec.loader.exec_module(module)
        _FILES[path] = module
    return _FILES[path]


def built_model(keras, target, seed):
    """The model of a target, made right after `keras.utils.set_random_seed(seed)`."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    if callable(target):
        return target(keras)
    if target["kind"] == "script":
        return _run_script(keras, target)[0]
    module = _module_of(target["file"])
    if target["kind"] == "structure":
        return module.build(keras, target["structure"], target["input_shape"])
    return getattr(module, target["name"])(keras)


def _run_script(keras, target):
    """(model, x, y) of the first `fit` of a script; (its last model, None, None) without one."""
    if keras.__name__ == "kerasmirror":
        keras.install_as_keras(tensorflow=True)
    found = []

    def fit(self, x=None, y=None, *args, **kwargs):
        found.extend((self, x, y))
        raise _Captured

    before, keras.Model.fit = keras.Model.fit, fit
    arguments, sys.argv = sys.argv, [target["file"], *target.get("arguments", ())]
    try:
        names = runpy.run_path(target["file"], run_name="__main__")
    except _Captured:
        return found
    except SystemExit as end:
        raise ValueError(f"parity: the script ended before it trained, status {end.code}") from None
    finally:
        keras.Model.fit, sys.argv = before, arguments
    models = [value for value in names.values() if isinstance(value, keras.Model)]
    if not models:
        raise ValueError(f"{target['file']} trains no model and leaves none in a variable")
    return models[-1], None, None


def describe(keras, target, seed, samples=None):
    """Shapes, data and compile arguments of a target as far as they are known, as plain data.

    Of a script's own data the first `samples` are taken, of a dataset as its pass gives them.
    Raises: ValueError for a model with several inputs or outputs, for data of another kind.
    """
    x = y = None
    if not callable(target) and target["kind"] == "script":
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        model, x, y = _run_script(keras, target)
    else:
        model = built_model(keras, target, seed)
    config = model.get_compile_config() if getattr(model, "optimizer", None) is not None else {}
    _check_single(model)
    return {
        "inputs": _shapes(keras, model, "input_shape"),
        "outputs": _shapes(keras, model, "output_shape"),
        "optimizer": (config or {}).get("optimizer"),
        "loss": (config or {}).get("loss"),
        "data": None if x is None else _first_samples(x, y, samples),
    }


def _check_single(model):
    for name in ("inputs", "outputs"):
        tensors = getattr(model, name, None)
        if isinstance(tensors, (list, tuple)) and len(tensors) > 1:
            raise ValueError(
                f"parity: the model must have one input and one output. Received: {len(tensors)} "
                f"{name} of model '{model.name}'"
            )


def _first_samples(x, y, samples):
    """The first of a script's own data, as two arrays."""
    try:
        if y is None and not isinstance(x, (np.ndarray, dict)):
            x, y = _of_dataset(x, samples)
        x, y = np.asarray(x)[:samples], np.asarray(y)[:samples]
    except (ValueError, TypeError, IndexError):  # unequal parts, or nothing with rows
        x = y = None
    if x is None or "O" in (x.dtype.kind, y.dtype.kind):
        raise ValueError(
            "parity: a script must call `fit` with one array of inputs and one of targets, or a "
            "dataset of batches of such pairs. Received: something else"
        )
    return x, y


def _of_dataset(batches, samples):
    """(inputs, targets) of as many batches as have `samples` samples; (None, None) of others."""
    parts, count = [], 0
    if not hasattr(batches, "__iter__"):
        batches = map(batches.__getitem__, range(len(batches)))
    for batch in batches:
        if not isinstance(batch, (list, tuple)) or len(batch) != 2:
            return None, None
        parts.append([np.asarray(part) for part in batch])
        count += len(parts[-1][0])
        if samples is not None and count >= samples:
            break
    if not parts:
        return None, None
    return tuple(np.concatenate(side) for side in zip(*parts, strict=True))


def _shapes(keras, model, name):
    try:
        shapes = getattr(model, name)
    except AttributeError:
        return None
    return shapes if all(isinstance(n, (int, type(None))) for n in shapes) else None


@contextlib.contextmanager
def precision(keras, floatx):
    """Within it, what is built computes in `floatx`."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(floatx)
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


def as_numpy(keras, value):
    """A tensor as a NumPy array."""
    return np.asarray(keras.ops.convert_to_numpy(value))


def initial_weights(keras, target, seed, x=None):
    """The weights a model starts with; `x` builds one that does not know its input's shape."""
    return _ready(keras, target, seed, x).get_weights()


def _ready(keras, target, seed, x, weights=None):
    model = built_model(keras, target, seed)
    if not model.built and x is not None:
        model(x)
    if weights is not None:
        model.set_weights(weights)
    return model


def _all_layers(layer):
    """The layers inside a layer, depth first, each once."""
    found, seen = [], set()

    def visit(one):
        for inner in one._layers:
            if id(inner) not in seen:
                seen.add(id(inner))
                found.append(inner)
                visit(inner)

    visit(layer)
    return found


@contextlib.contextmanager
def _recorded_calls(keras, model):
    """Gives a list of (layer, output) that fills while the model is called."""
    records = []

    def recorded(layer, call):
        @functools.wraps(call)
        def wrapper(*args, **kwargs):
            output = call(*args, **kwargs)
            records.append((layer, output))
            return output

        return wrapper

    layers = _all_layers(model)
    for layer in layers:
        layer.__dict__["call"] = recorded(layer, layer.call)
    try:
        yield records
    finally:
        for layer in layers:
            del layer.__dict__["call"]


def _named(records):
    """(name, kind of layer, output) with a number for each further call of a layer."""
    calls = {}
    for layer, output in records:
        calls[id(layer)] = number = calls.get(id(layer), 0) + 1
        name = layer.name if number == 1 else f"{layer.name} (call {number})"
        yield name, type(layer).__name__, output


def forward_and_gradients(keras, target, seed, weights, x, y, loss, floatx="float32"):
    """Outputs of every layer, the loss, and gradients, in inference mode.

    Gives a dict: `layers`, a list of (name, kind, output) in the order of the calls; `outputs` of
    the model called as users do (layers may be fused); `loss`; `gradients`, a list of (variable's
    path, array); `flow`, a list of (layer's name, gradient with respect to its output), empty
    where the backend gives none.
    """
    with precision(keras, floatx):
        if floatx == "float64":
            x = x.astype("float64") if x.dtype.kind == "f" else x
            y = y.astype("float64") if y.dtype.kind == "f" else y
        model = _ready(keras, target, seed, x, weights)
        outputs = as_numpy(keras, model(x, training=False))
        with _recorded_calls(keras, model) as records:
            total, gradients, flow = _gradients(keras, model, x, y, loss, records)
        named = list(_named(records))
        layers = [
            (name, kind, as_numpy(keras, output))
            for name, kind, output in named
            if hasattr(output, "shape")
        ]
        names = [name for name, _, output in named if hasattr(output, "shape")]
    paths = [variable.path.split("/", 1)[-1] for variable in model.trainable_weights]
    return {
        "layers": layers,
        "outputs": outputs,
        "loss": total,
        "gradients": list(zip(paths, gradients, strict=True)),
        "flow": [(n, g) for n, g in zip(names, flow, strict=False) if g is not None],
    }


def _gradients(keras, model, x, y, loss, records):
    """(loss, gradient of each trainable weight, gradient of each recorded output)"""
    loss = keras.losses.get(loss)
    backend = keras.backend.backend()

    def batch_loss(outputs):
        total = keras.ops.mean(loss(keras.ops.convert_to_tensor(y), outputs))
        for penalty in model.losses:
            total = total + penalty
        return total

    if backend == "jax":
        return (*_jax_gradients(keras, model, x, batch_loss, records), [])
    if backend == "torch":
        return _torch_gradients(keras, model, x, batch_loss, records)
    if backend == "tensorflow":
        tape_type = importlib.import_module("tensorflow").GradientTape
    else:
        tape_type = keras.autodiff.GradientTape
    with tape_type() as tape:
        total = batch_loss(model(x, training=False))
    weights = model.trainable_weights
    tensors = [output for _, output in records if hasattr(output, "shape")]
    sources = [w.value for w in weights] if backend == "tensorflow" else weights
    found = tape.gradient(total, [*sources, *tensors])
    found = [None if gradient is None else as_numpy(keras, gradient) for gradient in found]
    gradients = [
        np.zeros(w.shape, w.dtype) if g is None else g for w, g in zip(weights, found, strict=False)
    ]
    return float(as_numpy(keras, total)), gradients, found[len(weights) :]


def _torch_gradients(keras, model, x, batch_loss, records):
    outputs = model(x, training=False)
    tensors = [output for _, output in records if getattr(output, "requires_grad", False)]
    for tensor in tensors:
        tensor.retain_grad()
    total = batch_loss(outputs)
    total.backward()
    weights = [weight.value for weight in model.trainable_weights]
    gradients = [
        np.zeros(tuple(w.shape), "float32") if w.grad is None else as_numpy(keras, w.grad)
        for w in weights
    ]
    flow = [getattr(output, "grad", None) for _, output in records]
    flow = [None if g is None else as_numpy(keras, g) for g in flow]
    return float(as_numpy(keras, total)), gradients, flow


def _jax_gradients(keras, model, x, batch_loss, records):
    jax = importlib.import_module("jax")
    fixed = [variable.value for variable in model.non_trainable_variables]

    def total_of(trained):
        return batch_loss(model.stateless_call(trained, fixed, x, training=False)[0])

    trained = [variable.value for variable in model.trainable_variables]
    total, gradients = jax.value_and_grad(total_of)(trained)
    records.clear()
    model(x, training=False)  # once more, on values: what was recorded under jax was traced
    return float(total), [np.asarray(g) for g in gradients]


def training_curve(
    keras, target, seed, weights, x, y, loss, optimizer, steps, batch_size, drawn=True
):
    """`fit`, shuffled, dropout on: the loss of each step, final weights and accuracy, seconds.

    Not `drawn`: in the order of the data and with dropout off, for sides that draw other numbers.

    Gives a dict; `step_seconds` is the median of the steps after the first; `accuracy` is on the
    training data, None where outputs are no classes.
    """
    model = _ready(keras, target, seed, x[:1], weights)
    if isinstance(optimizer, dict):
        optimizer = keras.optimizers.get(optimizer)
    model.compile(optimizer=optimizer, loss=keras.losses.get(loss))
    losses, moments = [], []
    for layer in [] if drawn else _all_layers(model):
        if hasattr(layer, "rate"):
            layer.rate = 0.0

    class Recorder(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            losses.append(float(logs["loss"]))
            moments.append(time.perf_counter())
            self.model.reset_metrics()  # so that the next value is that of one step
            if len(losses) == steps:
                self.model.stop_training = True

    epochs = -(-steps * batch_size // len(x))
    keras.utils.set_random_seed(seed)
    begun = time.perf_counter()
    options = {"batch_size": batch_size, "epochs": epochs, "shuffle": drawn, "verbose": 0}
    model.fit(x, y, callbacks=[Recorder()], **options)
    between = np.diff(moments)
    return {
        "losses": losses[:steps],
        "weights": model.get_weights(),
        "accuracy": _accuracy(keras, model, x, y),
        "first_step_seconds": moments[0] - begun,
        "step_seconds": float(np.median(between)) if len(between) else None,
        "peak_memory": _peak_memory(),
    }


def _accuracy(keras, model, x, y):
    outputs = model.predict(x, verbose=0)
    if not isinstance(outputs, np.ndarray) or outputs.ndim != 2 or outputs.shape[1] < 2:
        return None
    if y.ndim == 2 and y.shape[1] == outputs.shape[1]:
        y = y.argmax(1)
    if y.dtype.kind not in "iu" or y.size != len(outputs):
        return None
    return float(np.mean(outputs.argmax(1) == y.reshape(-1)))


def _peak_memory():
    """The largest resident memory of this process in bytes; None where the system does not say."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        # Linux counts what the parent had when it started this process in ru_maxrss.
        lines = status.read_text().splitlines()
        return next((int(li.split()[1]) * 1024 for li in lines if li.startswith("VmHWM:")), None)
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def save(keras, target, seed, weights, x, path):
    """Write a weights file of the model with these weights."""
    _ready(keras, target, seed, x, weights).save_weights(path)


def outputs_of_file(keras, target, seed, x, path):
    """The model's outputs with the weights of a file."""
    model = _ready(keras, target, seed + 1, x)
    model.load_weights(path)
    return as_numpy(keras, model(x, training=False))
