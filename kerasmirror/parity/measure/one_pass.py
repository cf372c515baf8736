"""One pass in inference mode: outputs of every layer, the loss, and its gradients."""

import contextlib
import importlib
import inspect

import numpy as np

from .building import as_numpy, compiled, ready
from .nests import map_nest, named
from .noise import path_of
from .recording import recorded_calls


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


def forward_and_gradients(
    keras, target, seed, weights, data, settings, floatx="float32", values=None
):
    """Outputs of every layer, the loss, and gradients, in inference mode.

    With `values`, arrays by the names of layers, each layer passes these on instead of its own
    output: gradients are then those of a pass that decides as the one they come from, at maxima
    and at relu.

    Gives a dict: `layers`, a list of (name, kind, output) in the order of the calls; `inner`, the
    names of those that another layer made; `own`, with `values`, a list of (name,
    output) as layers gave it before it was replaced; `outputs`, a list of (name, array), of the
    model called as users do (layers may be fused); `loss`; `gradients`, a list of (variable's path,
    array); `flow`, a list of (layer's name, gradient with respect to its output), empty where the
    backend gives none.
    """
    with precision(keras, floatx):
        data = [map_nest(lambda part: _of_precision(part, floatx), nest) for nest in data]
        model = compiled(keras, ready(keras, target, seed, data[0], weights), settings)
        outputs = named(as_numpy(keras, model(data[0], training=False)))
        with recorded_calls(keras, model, values) as record:
            total, gradients, flow = _gradients(keras, model, data, record)
        layers = [(name, kind, as_numpy(keras, tensor)) for name, kind, tensor in record.calls]
        own = [(name, as_numpy(keras, tensor)) for name, tensor in record.own]
    paths = [path_of(model, variable) for variable in model.trainable_weights]
    names = [name for name, _, _ in layers]
    return {
        "layers": layers,
        "inner": record.inner,
        "own": own,
        "outputs": outputs,
        "loss": total,
        "gradients": list(zip(paths, gradients, strict=True)),
        "flow": [(n, g) for n, g in zip(names, flow, strict=False) if g is not None],
    }


def _of_precision(array, floatx):
    return array.astype("float64") if floatx == "float64" and array.dtype.kind == "f" else array


def _loss_of(keras, model, data, outputs):
    x, y, weights = (map_nest(keras.ops.convert_to_tensor, nest) for nest in data)
    takes_training = "training" in inspect.signature(type(model).compute_loss).parameters
    more = {"training": False} if takes_training else {}
    return model.compute_loss(x=x, y=y, y_pred=outputs, sample_weight=weights, **more)


def _gradients(keras, model, data, record):
    """(loss, gradient of each trainable weight, gradient of each recorded output)"""
    backend = keras.backend.backend()
    if backend == "jax":
        return (*_jax_gradients(keras, model, data, record), [])
    if backend == "torch":
        return _torch_gradients(keras, model, data, record)
    if backend == "tensorflow":
        tape_type = importlib.import_module("tensorflow").GradientTape
    else:
        tape_type = keras.autodiff.GradientTape
    with tape_type() as tape:
        total = _loss_of(keras, model, data, model(data[0], training=False))
    weights = model.trainable_weights
    sources = [w.value for w in weights] if backend == "tensorflow" else weights
    floats = [i for i, tensor in enumerate(record.tensors) if "float" in str(tensor.dtype)]
    found = tape.gradient(total, [*sources, *(record.tensors[i] for i in floats)])
    found = [None if gradient is None else as_numpy(keras, gradient) for gradient in found]
    gradients = [
        np.zeros(w.shape, w.dtype) if g is None else g for w, g in zip(weights, found, strict=False)
    ]
    flow = [None] * len(record.tensors)
    for i, gradient in zip(floats, found[len(weights) :], strict=True):
        flow[i] = gradient
    return float(as_numpy(keras, total)), gradients, flow


def _torch_gradients(keras, model, data, record):
    outputs = model(data[0], training=False)
    for tensor in record.tensors:
        if getattr(tensor, "requires_grad", False):
            tensor.retain_grad()
    total = _loss_of(keras, model, data, outputs)
    total.backward()
    weights = [weight.value for weight in model.trainable_weights]
    gradients = [
        np.zeros(tuple(w.shape), "float32") if w.grad is None else as_numpy(keras, w.grad)
        for w in weights
    ]
    flow = [getattr(tensor, "grad", None) for tensor in record.tensors]
    flow = [None if g is None else as_numpy(keras, g) for g in flow]
    return float(as_numpy(keras, total)), gradients, flow


def _jax_gradients(keras, model, data, record):
    jax = importlib.import_module("jax")
    _loss_of(keras, model, data, model(data[0], training=False))  # builds what losses keep
    fixed = [variable.value for variable in model.non_trainable_variables]
    kept = [variable.value for variable in model.metrics_variables]

    def total_of(trained):
        return model.compute_loss_and_updates(trained, fixed, kept, *data, training=False)[0]

    trained = [variable.value for variable in model.trainable_variables]
    total, gradients = jax.value_and_grad(total_of)(trained)
    record.clear()
    model(data[0], training=False)  # once more, on values: what was recorded under jax was traced
    return float(total), [np.asarray(g) for g in gradients]
