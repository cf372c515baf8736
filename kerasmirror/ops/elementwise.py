"""Factories of elementwise operations: a formula and its derivative become a public function.

    sin = unary("sin", scalar.sin, scalar.sin_grad, doc="Sine, of radians.")

`sin` takes anything `to_tensor` takes. Whole numbers become `floatx` where the result is a float.
"""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.broadcasting import sum_to_shape
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core.tensor import Tensor
from kerasmirror.ops import shapes
from kerasmirror.ops.tensor import float_tensor, operands, to_tensor


def elementwise(name, formula, grad=None, grad_from_output=None):
    """A primitive y = formula(x, **numbers) for a tensor of floats.

    `grad(x, dy, *numbers)` is dy times the derivative at x, `grad_from_output(y, dy, *numbers)`
    the same from y, which then is all that is kept. Options come in the formula's order.
    """

    smooth = grad is not None or grad_from_output is not None
    kind = tangents.diagonal if smooth else tangents.without_gradient("it is piecewise constant")

    @primitive(name, spec=shapes.same, tangent=kind)
    def rule(k, x, **numbers):
        values = numbers.values()
        y = k.map_scalar(formula, x, *values)
        if grad_from_output is not None:
            return y, lambda dy, needs: (k.map_scalar(grad_from_output, y, dy, *values),)
        if grad is None:
            return y, None
        return y, lambda dy, needs: (k.map_scalar(grad, x, dy, *values),)

    rule.__doc__ = formula.__doc__
    return rule


def public(function, name, paths, doc):
    """Give a function made here its name and text, and export it (as ops.X and ops.numpy.X)."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return export(*(paths or (f"ops.{name}", f"ops.numpy.{name}")))(function)


def unary(name, formula, grad=None, grad_from_output=None, *, doc, paths=None):
    """A public function of one argument `x` that gives floats."""
    run = elementwise(name, formula, grad, grad_from_output)

    def function(x):
        if type(x) is Tensor and x.data.dtype.kind == "f":
            return run(x)
        return run(float_tensor(x))

    return public(function, name, paths, doc)


def rounding(name, formula, *, doc, paths=None):
    """A public function of one argument that gives floats and, as in TensorFlow, no gradient."""
    run = elementwise(name, formula)

    def function(x):
        return run(float_tensor(x))

    return public(function, name, paths, doc)


def predicate(name, formula, *, doc, paths=None, converts=to_tensor):
    """A public function of one argument that gives booleans."""

    kind = tangents.without_gradient("booleans come out")

    @primitive(name, spec=shapes.broadcast_bool, tangent=kind)
    def run(k, x):
        return k.map_scalar(formula, x), None

    def function(x):
        return run(converts(x))

    return public(function, name, paths, doc)


def comparison(name, formula, *, doc, paths=None, dtype=None):
    """A public function of `x1` and `x2` that gives booleans; `dtype`: both are cast to it."""
    run = without_gradient(name, formula, "booleans come out", spec=shapes.broadcast_bool)
    if dtype is None:

        def function(x1, x2):
            return run(*operands(x1, x2))

    else:

        def function(x1, x2):
            return run(to_tensor(to_tensor(x1), dtype), to_tensor(to_tensor(x2), dtype))

    return public(function, name, paths, doc)


def without_gradient(name, formula, reason, spec=shapes.broadcast):
    """A primitive of two broadcasting arguments that has no gradient, and why."""

    @primitive(name, spec=spec, tangent=tangents.without_gradient(reason))
    def rule(k, x1, x2):
        return mapped(k, name, formula, x1, x2), None

    return rule


def binary(name, run, *also, doc, paths=None):
    """A public function of `x1` and `x2`, brought to their common dtype, around a primitive.

    `also` are dtypes that take part in the choice: `float` makes whole numbers floats.
    """
    if also:

        def function(x1, x2):
            return run(*operands(x1, x2, *also))

    else:

        def function(x1, x2):
            if type(x1) is Tensor and type(x2) is Tensor and x1.data.dtype is x2.data.dtype:
                return run(x1, x2)
            return run(*operands(x1, x2))

    return public(function, name, paths, doc)


def mapped(k, name, formula, *arrays):
    """`k.map_scalar` with an error that names the operation and the shapes."""
    try:
        return k.map_scalar(formula, *arrays)
    except ValueError:
        shape = arrays[0].shape
        for array in arrays[1:]:
            shape = shapes.broadcast_shapes(shape, array.shape, f"keras.ops.{name}")
        raise


def summed(k, needs, forms, *gradients):
    """The gradients (functions without arguments) that are needed, each summed to its operand.

    `forms` are the operands' shapes: what was stretched gets the sum over what it met.
    """
    return tuple(
        [
            sum_to_shape(k, gradient(), shape) if needed else None
            for needed, shape, gradient in zip(needs, forms, gradients, strict=True)
        ]
    )
