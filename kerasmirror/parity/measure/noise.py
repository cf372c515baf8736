"""Random errors of given sizes in outputs and gradients of a model, as roundings make them."""

import contextlib
import functools

from .nests import map_nest
from .recording import all_layers, without_activation

# How far seeds of outputs and of gradients are apart: more than those of a model.
_GRADIENTS = 1 << 20


def path_of(model, variable):
    """The path of a variable without the model's name, which counts the models made before."""
    return variable.path.removeprefix(f"{model.name}/")


@contextlib.contextmanager
def noisy(keras, model, outputs, gradients, seed):
    """Within it, outputs of layers and gradients that the optimizer gets have normal errors.

    `outputs` has their standard deviations by the names of layers, in shares of the largest output;
    they stand in front of an activation of the layer's own, so that this decides with the error.
    `gradients` has them by the paths of weights (path_of), in shares of `scale`. What is 0 stays
    so: a sum of zeros is 0 in any order. The errors follow from `seed`; they are the same in each
    step of a training, its samples not.
    """
    layers = [layer for layer in all_layers(model) if outputs.get(layer.name)]
    for i, layer in enumerate(layers):
        error = functools.partial(_output, keras, outputs[layer.name], seed + i)
        layer.__dict__["call"] = _with_error(layer, layer.call, error)
    optimizer = model.optimizer if gradients else None
    if optimizer is not None:
        optimizer.__dict__["apply"] = _applied(keras, model, gradients, seed + _GRADIENTS)
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["call"]
        if optimizer is not None:
            del optimizer.__dict__["apply"]


def scale(ops, gradient):
    """How large errors of a gradient's elements may be, among each other.

    Of a kernel (..., inputs, units), the root mean square of an element's row times that of its
    column over that of all: what few or small terms add up to has small errors. Of a vector, that
    of all.
    """
    if len(gradient.shape) < 2:
        return ops.ones_like(gradient) * ops.sqrt(ops.mean(gradient**2))
    square = gradient**2
    columns = ops.mean(square, axis=tuple(range(len(gradient.shape) - 1)), keepdims=True)
    rows = ops.mean(square, axis=-1, keepdims=True)
    every = ops.mean(square)
    return ops.sqrt(rows) * ops.sqrt(columns / ops.where(every > 0, every, 1))


def _with_error(layer, call, error):
    @functools.wraps(call)
    def wrapper(*args, **kwargs):
        with without_activation(layer) as activation:
            output = call(*args, **kwargs)
        if activation is None:
            return map_nest(error, output)
        return activation(error(output, activation))

    return wrapper


def _output(keras, size, seed, output, activation=None):
    if not hasattr(output, "shape") or "float" not in str(output.dtype):
        return output
    fixed = keras.ops.stop_gradient(output)
    reached = fixed if activation is None else activation(fixed)
    largest = keras.ops.max(keras.ops.abs(reached))
    return output + _error(keras, fixed, size * largest, seed)


def _applied(keras, model, sizes, seed):
    """The optimizer's `apply`, of gradients with errors."""
    usual = model.optimizer.apply

    def apply(grads, trainable_variables=None):
        variables = trainable_variables
        if variables is None:
            variables = model.trainable_variables
        found = []
        for i, (gradient, variable) in enumerate(zip(grads, variables, strict=True)):
            size = sizes.get(path_of(model, variable))
            if size and gradient is not None and not hasattr(gradient, "indices"):
                size = size * scale(keras.ops, gradient)
                gradient = gradient + _error(keras, gradient, size, seed + i)
            found.append(gradient)
        return usual(found, trainable_variables)

    return apply


def _error(keras, values, size, seed):
    ops = keras.ops
    error = size * keras.random.normal(ops.shape(values), dtype=values.dtype, seed=seed)
    return ops.where(values == 0, ops.zeros_like(error), error)
