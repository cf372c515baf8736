"""check_gradients: a rule's gradients against finite differences."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff.tape import GradientTape
from kerasmirror.core.tensor import Tensor


@export("autodiff.check_gradients")
def check_gradients(function, *arrays, step=1e-6, rtol=1e-6, atol=1e-8, directions=3, seed=0):
    """Compare `function`'s gradients with central differences along random directions, in float64.

    `function` takes tensors and gives one tensor. With random weights c, f = sum(c * y) and a
    random unit direction v, the tape's <grad f, v> must equal (f(x + h v) - f(x - h v)) / 2h.
    Raises: AssertionError that names the argument and both values.
    """
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(array, dtype="float64") for array in arrays]
    tensors = [Tensor(array) for array in arrays]
    with GradientTape() as tape:
        tape.watch(tensors)
        y = function(*tensors)
    weights = rng.standard_normal(y.shape)
    grads = tape.gradient(y, tensors, output_gradients=Tensor(weights))

    def objective(position, moved):
        varied = [
            Tensor(np.asarray(moved if i == position else array))  # NumPy sums give scalars
            for i, array in enumerate(arrays)
        ]
        return float(np.sum(weights * function(*varied).data))

    for position, (array, grad) in enumerate(zip(arrays, grads, strict=True)):
        if grad is None:
            raise AssertionError(f"check_gradients: argument {position} got no gradient")
        if grad.shape != array.shape:
            raise AssertionError(
                f"check_gradients: argument {position} has shape {array.shape}, "
                f"its gradient {grad.shape}"
            )
        for _ in range(directions):
            direction = rng.standard_normal(array.shape)
            direction /= np.linalg.norm(direction) or 1.0
            up = objective(position, array + step * direction)
            down = objective(position, array - step * direction)
            expected = (up - down) / (2 * step)
            actual = float(np.sum(grad.data * direction))
            scale = max(abs(expected), float(np.linalg.norm(grad.data)) / max(1, grad.size) ** 0.5)
            if not abs(actual - expected) <= atol + rtol * scale:
                raise AssertionError(
                    f"check_gradients: argument {position}: the tape gives {actual!r}, "
                    f"finite differences {expected!r}"
                )
