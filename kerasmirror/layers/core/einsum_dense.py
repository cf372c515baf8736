"""EinsumDense: a layer whose product of inputs and kernel is an einsum equation."""

from __future__ import annotations

import re
from typing import NamedTuple

from kerasmirror import activations, ops
from kerasmirror._export import export
from kerasmirror.initializers.random import VarianceScaling
from kerasmirror.layers.core.quantized_dense import QuantizedEinsum
from kerasmirror.layers.input_spec import InputSpec
from kerasmirror.layers.layer import float_inputs
from kerasmirror.layers.weight_options import add_weight_with_options, keep_weight_options
from kerasmirror.ops.nn.dense import affine_over

_FORMS = (
    r"(?P<x>[a-zA-Z]+),(?P<w>[a-zA-Z]+)->(?P<y>[a-zA-Z]+)",
    r"(?P<left>\.\.\.)(?P<x>[a-zA-Z]+),(?P<w>[a-zA-Z]+)->\.\.\.(?P<y>[a-zA-Z]+)",
    r"(?P<x>[a-zA-Z]{2,})\.\.\.,(?P<w>[a-zA-Z]+)->(?P<y>[a-zA-Z]+)\.\.\.",
)


@export("layers.EinsumDense")
class EinsumDense(QuantizedEinsum):
    """`activation(einsum(equation, inputs, kernel) + bias)`.

    `output_shape` is the result's shape without the batch axis and without what "..." stands for;
    None is a size taken from the inputs. `bias_axes` names the letters of the result along which
    there is a bias of its own, None for no bias at all.
    Args: for LoRA see `Dense`.
    Raises: ValueError for an equation that is not X,Y->Z, ...X,Y->...Z or X...,Y->Z..., or that
    does not fit the shapes.
    Source: Keras 3.15 `keras.layers.EinsumDense`.
    """

    def __init__(
        self,
        equation,
        output_shape,
        activation=None,
        bias_axes=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        lora_rank=None,
        lora_alpha=None,
        gptq_unpacked_column_size=None,
        quantization_config=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.equation = equation
        if isinstance(output_shape, int):
            output_shape = (output_shape,)
        self.partial_output_shape = tuple(output_shape)
        self.bias_axes = bias_axes
        self.activation = activations.get(activation)
        keep_weight_options(
            self,
            kernel=(kernel_initializer, kernel_regularizer, kernel_constraint),
            bias=(bias_initializer, bias_regularizer, bias_constraint),
        )
        self._keep_lora(lora_rank, lora_alpha)
        self.gptq_unpacked_column_size = gptq_unpacked_column_size
        self.quantization_config = quantization_config
        self._summed = None

    def build(self, input_shape):
        plan = self._plan(input_shape)
        if None in plan.kernel or None in (plan.bias or ()):
            raise ValueError(
                f"EinsumDense: layer '{self.name}' must get inputs whose sizes are known where the "
                f"kernel or bias has them. Received: inputs of shape {tuple(input_shape)}, "
                f"equation={self.equation!r}, output_shape={self.partial_output_shape}"
            )
        self.input_spec = InputSpec(ndim=len(input_shape))
        mode = self.quantization_mode
        if mode is not None:
            self.quantized_build(plan.kernel, mode=mode, config=self.quantization_config)
        if mode not in ("int8", "int4", "gptq", "awq"):  # those have a kernel of their own
            self._kernel = self.add_weight(
                name="kernel",
                shape=plan.kernel,
                initializer=self._initializer_for(plan),
                regularizer=self.kernel_regularizer,
                constraint=self.kernel_constraint,
            )
        self.bias = None if plan.bias is None else add_weight_with_options(self, "bias", plan.bias)
        self._summed = _as_affine(plan)
        self._enable_lora_if_asked()

    def _initializer_for(self, plan):
        """The kernel's initializer, told which axes of the kernel are inputs and outputs."""
        given = self.kernel_initializer
        if not isinstance(given, VarianceScaling) or None not in (
            given.input_axes,
            given.output_axes,
        ):
            return given
        axes = {"input_axes": list(plan.input_axes), "output_axes": list(plan.output_axes)}
        # The seed that was drawn, where the config says None: the weights do not depend on which
        # of the two is called.
        return type(given).from_config({**given.get_config(), "seed": given.seed, **axes})

    @property
    def kernel(self):
        return self._adapted_weight()

    def call(self, inputs, training=None):
        inputs = float_inputs(self, inputs)
        if self._summed is not None and not self.lora_enabled:
            fused = activations.fusable(self.activation)
            outputs = affine_over(
                inputs, self._kernel, self.bias, summed=self._summed, activation=fused or "linear"
            )
            return outputs if fused is not None else self.activation(outputs)
        outputs = ops.einsum(self.equation, inputs, self.kernel)
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def compute_output_shape(self, input_shape):
        return self._plan(input_shape).output

    def _plan(self, input_shape):
        return plan_of(
            self.equation,
            self.bias_axes,
            tuple(input_shape),
            self.partial_output_shape,
            f"EinsumDense: layer '{self.name}'",
        )

    def get_config(self):
        config = {**super().get_config(), "output_shape": self.partial_output_shape}
        config["activity_regularizer"] = config.get("activity_regularizer")
        if not self.gptq_unpacked_column_size:
            config.pop("gptq_unpacked_column_size")
        return config


class EinsumPlan(NamedTuple):
    """What an equation means for given shapes; bias is None where there is none."""

    letters: tuple  # of inputs, kernel and result
    elided: str  # where "..." stands for something: "left", "right" or ""
    kernel: tuple
    bias: tuple | None
    output: tuple
    input_axes: tuple  # axes of the kernel that are summed, and those that the result has
    output_axes: tuple


def plan_of(equation, bias_axes, input_shape, output_shape, owner="EinsumDense"):
    """The shapes of kernel, bias and result.

    Raises: ValueError when the equation has another form or does not fit the shapes.
    """
    match = next((m for m in (re.fullmatch(form, equation) for form in _FORMS) if m), None)
    if match is None:
        raise ValueError(
            f"{owner}: Invalid einsum equation '{equation}'. Equations must be in the form "
            "[X],[Y]->[Z], ...[X],[Y]->...[Z], or [X]...,[Y]->[Z]...."
        )
    x, w, y = match["x"], match["w"], match["y"]
    left = bool(match.groupdict().get("left"))
    hidden = len(input_shape) - len(x)
    received = f"Received: equation={equation!r}, inputs of shape {input_shape}"
    if hidden < 0:
        raise ValueError(f"{owner}: `inputs` must have an axis for each letter. {received}")
    shift = hidden if left else 0  # of the axes of the letters in inputs and result
    output = [input_shape[0], *(input_shape[1:hidden] if left else ()), *output_shape]
    if hidden and not left:
        output += input_shape[-hidden:]
    received += f", output_shape={output_shape}"
    if len(output) < len(y) + shift:
        raise ValueError(f"{owner}: `output_shape` must have a size for each letter. {received}")
    sizes_in = {letter: input_shape[i + shift] for i, letter in enumerate(x)}
    sizes_out = {letter: output[i + shift] for i, letter in enumerate(y)}
    for letter, size in sizes_in.items():
        if sizes_out.get(letter) not in (None, size):
            raise ValueError(
                f"{owner}: Input shape and output shape do not match at shared dimension "
                f"'{letter}': {size} and {sizes_out[letter]}. {received}"
            )
    for letter in y:
        if letter not in x and letter not in w:
            raise ValueError(
                f"{owner}: Dimension '{letter}' was specified in the output '{y}' but has no "
                f"corresponding dim in the input '{x}' or the weight '{w}'. {received}"
            )
    for letter in w:
        if letter not in x and letter not in y:
            raise ValueError(
                f"{owner}: Weight dimension '{letter}' did not have a match in the input '{x}' or "
                f"the output '{y}', so its size is unknown. {received}"
            )
    for letter in bias_axes or ():
        if letter not in y:
            raise ValueError(
                f"{owner}: Bias dimension '{letter}' was requested, but is not part of the output "
                f"'{y}'. {received}, bias_axes={bias_axes!r}"
            )
    bias = None
    if bias_axes is not None:
        if not bias_axes:
            raise ValueError(
                f"{owner}: `bias_axes` must name axes of the output '{y}', or be None. {received}, "
                f"bias_axes={bias_axes!r}"
            )
        first = min(y.index(letter) for letter in bias_axes)
        bias = [sizes_out[letter] if letter in bias_axes else 1 for letter in y[first:]]
        bias = (*bias, *[1] * (0 if left else hidden))
    return EinsumPlan(
        letters=(x, w, y),
        elided="" if not hidden else "left" if left else "right",
        kernel=tuple([sizes_out.get(c, sizes_in.get(c)) for c in w]),
        bias=bias,
        output=tuple(output),
        input_axes=tuple([i for i, c in enumerate(w) if c not in y]),
        output_axes=tuple([i for i, c in enumerate(w) if c in y]),
    )


def _as_affine(plan):
    """How many axes are summed, where inputs and kernel need not be turned for it; else None.

    That is PS,SF->PF with letters P, S and F, and a bias over none or all of F.
    """
    x, w, y = plan.letters
    summed = len(plan.input_axes)
    free = w[summed:]
    fits = (
        plan.elided != "right"
        and 0 < summed < len(w)
        and x.endswith(w[:summed])
        and y == x[: len(x) - summed] + free
        and len(set(x)) == len(x)
        and len(set(w)) == len(w)
        and (plan.elided or len(x) > summed)
        and (plan.bias is None or plan.bias == plan.kernel[summed:])
    )
    return summed if fits else None
