"""Random errors of given sizes in the layers of a model, as roundings make them."""

import contextlib
import functools

from .nests import map_nest
from .recording import all_layers, without_activation

# How far apart the seeds of a layer's two errors are: more than those of a model's layers.
_BACKWARD = 1 << 20


@contextlib.contextmanager
def noisy(keras, model, sizes, seed):
    """Within it, layers that `sizes` names have errors: {name: (forward, backward)}.

    A layer's output has a normal error whose standard deviation is `forward` of the largest
    output; in front of an activation of its own, so that this decides with the error. What is 0
    there stays so: a sum of zeros is 0 in any order. Each element of the gradient that comes back
    through the output is multiplied by 1 + a normal error of the standard deviation `backward`.
    The errors follow from `seed`; they are the same in each step of a training, its samples not.
    """
    layers = [layer for layer in all_layers(model) if any(sizes.get(layer.name, ()))]
    for i, layer in enumerate(layers):
        error = functools.partial(_with_error, keras, sizes[layer.name], seed + i)
        layer.__dict__["call"] = _wrapped(layer, layer.call, error)
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["call"]


def _wrapped(layer, call, error):
    @functools.wraps(call)
    def wrapper(*args, **kwargs):
        with without_activation(layer) as activation:
            output = call(*args, **kwargs)
        if activation is None:
            return map_nest(error, output)
        return activation(error(output, activation))

    return wrapper


def _with_error(keras, size, seed, output, activation=None):
    ops = keras.ops
    if not hasattr(output, "shape") or "float" not in str(output.dtype):
        return output
    forward, backward = size
    draw = functools.partial(keras.random.normal, ops.shape(output), dtype=output.dtype)
    fixed = ops.stop_gradient(output)
    largest = ops.max(ops.abs(fixed if activation is None else activation(fixed)))
    error = draw(seed=seed) * (forward * largest)
    value = fixed + ops.where(fixed == 0, ops.zeros_like(error), error)
    return value + (output - fixed) * (1 + backward * draw(seed=seed + _BACKWARD))
