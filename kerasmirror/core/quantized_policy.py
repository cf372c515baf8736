"""Dtype policies of quantized layers: how the weights are kept, and what was there before.

A name is "<mode>_from_<source>": "int8_from_float32", "gptq/4/128_from_mixed_bfloat16".
"""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core.dtype_policy import (
    QUANTIZATION_MODES,
    DTypePolicy,
    dtypes_of_name,
    global_policy,
)


@export("dtype_policies.QuantizedDTypePolicy")
class QuantizedDTypePolicy(DTypePolicy):
    """Weights quantized by `mode`, all else as in the policy called `source_name`.

    Args: `mode` is one of "int8", "float8", "int4", "gptq", "awq"; `source_name` None takes the
    global policy.
    Raises: ValueError for an unknown mode or source, and for int8 with float16, whose range the
    sums of products leave; TypeError for a source that is no string.
    Source: Keras 3.15 `keras.dtype_policies.QuantizedDTypePolicy`.
    """

    def __init__(self, mode, source_name=None):
        if source_name is None:
            source_name = global_policy().name
        self._compute_dtype, self._variable_dtype = dtypes_of_name(source_name)
        if mode not in QUANTIZATION_MODES:
            raise ValueError(
                f"{type(self).__name__}: Invalid quantization mode. `mode` must be one of "
                f"{QUANTIZATION_MODES}. Received: mode={mode!r}"
            )
        if mode == "int8" and self._compute_dtype == "float16":
            raise ValueError(
                f"{type(self).__name__}: mode='int8' doesn't work well with a source that computes "
                f"in float16. Received: source_name={source_name!r}"
            )
        self._name = f"{mode}_from_{source_name}"
        self._source_name = source_name
        self._quantization_mode = mode

    @staticmethod
    def from_name(name):
        """The policy called `name`.

        Raises: ValueError for a name that is not "<mode>_from_<source>".
        """
        mode, *source = name.split("_from_")
        if len(source) != 1:
            raise ValueError(
                "keras.dtype_policies.get: Cannot convert `policy` into a valid pair of mode and "
                f"source, it must be '<mode>_from_<source>'. Received: policy={name!r}"
            )
        for start, cls in _BY_MODE.items():
            if mode.startswith(start):
                return cls(mode, source[0])
        return QuantizedDTypePolicy(mode, source[0])

    def __eq__(self, other):
        return super().__eq__(other) and self.get_config() == other.get_config()

    __hash__ = DTypePolicy.__hash__

    def get_config(self):
        return {"mode": self._quantization_mode, "source_name": self._source_name}


@export("dtype_policies.QuantizedFloat8DTypePolicy")
class QuantizedFloat8DTypePolicy(QuantizedDTypePolicy):
    """Float8 training; scales come from the largest values of `amax_history_length` steps.

    Raises: TypeError for a length that is no int.
    Source: Keras 3.15 `keras.dtype_policies.QuantizedFloat8DTypePolicy`.
    """

    default_amax_history_length = 1024

    def __init__(self, mode, source_name=None, amax_history_length=1024):
        super().__init__(mode=mode, source_name=source_name)
        if not isinstance(amax_history_length, int):
            raise TypeError(
                "QuantizedFloat8DTypePolicy: `amax_history_length` must be an integer. "
                f"Received: amax_history_length={amax_history_length!r}"
            )
        self._amax_history_length = amax_history_length

    @property
    def amax_history_length(self):
        return self._amax_history_length

    def get_config(self):
        return {**super().get_config(), "amax_history_length": self._amax_history_length}


class _ModeWithNumbers(QuantizedDTypePolicy):
    """A policy whose mode carries numbers: "int4/128"."""

    _algorithm = None
    _numbers = ()

    def __init__(self, mode, source_name=None):
        self._set_numbers(mode)
        super().__init__(mode=self._algorithm, source_name=source_name)
        self.mode = self._algorithm
        self._name = f"{self._full_mode()}_from_{self._source_name}"

    def _set_numbers(self, mode):
        owner = type(self).__name__
        expected = "/".join((self._algorithm, *(f"<{name}>" for name in self._numbers)))
        algorithm, *numbers = str(mode).split("/")
        if algorithm != self._algorithm or len(numbers) != len(self._numbers):
            raise ValueError(
                f"{owner}: Invalid mode, `mode` must be '{expected}'. Received: mode={mode!r}"
            )
        for name, text in zip(self._numbers, numbers, strict=True):
            try:
                value = int(text)
            except ValueError:
                raise ValueError(
                    f"{owner}: Invalid mode, <{name}> in '{expected}' must be an integer. "
                    f"Received: mode={mode!r}"
                ) from None
            self._check_number(name, value, mode)
            setattr(self, name, value)

    def _check_number(self, name, value, mode):
        if name != "weight_bits" and (value < -1 or value == 0):
            raise ValueError(
                f"{type(self).__name__}: Invalid {name} in `mode`, it must be -1 or a positive "
                f"integer. Received: {value} in mode={mode!r}"
            )

    def _full_mode(self):
        return "/".join([self.mode, *(str(getattr(self, name)) for name in self._numbers)])

    def get_config(self):
        return {"mode": self._full_mode(), "source_name": self._source_name}


@export("dtype_policies.Int4DTypePolicy")
class Int4DTypePolicy(_ModeWithNumbers):
    """int4 with a scale and a zero point for each `block_size` inputs of an output.

    `mode` is "int4/<block_size>"; -1 is one scale for each output.
    Raises: ValueError for a mode of another form.
    Source: Keras 3.15 `keras.dtype_policies.Int4DTypePolicy`.
    """

    _algorithm, _numbers = "int4", ("block_size",)


@export("dtype_policies.GPTQDTypePolicy")
class GPTQDTypePolicy(_ModeWithNumbers):
    """GPTQ with 2, 3, 4 or 8 bits; `mode` is "gptq/<weight_bits>/<group_size>".

    Raises: ValueError for a mode of another form.
    Source: Keras 3.15 `keras.dtype_policies.GPTQDTypePolicy`.
    """

    _algorithm, _numbers = "gptq", ("weight_bits", "group_size")

    def _check_number(self, name, value, mode):
        if name == "weight_bits" and value not in (2, 3, 4, 8):
            raise ValueError(
                "GPTQDTypePolicy: Invalid weight_bits in `mode`, it must be 2, 3, 4 or 8. "
                f"Received: {value} in mode={mode!r}"
            )
        super()._check_number(name, value, mode)


@export("dtype_policies.AWQDTypePolicy")
class AWQDTypePolicy(_ModeWithNumbers):
    """AWQ with 4 bits; `mode` is "awq/4/<group_size>".

    Raises: ValueError for a mode of another form.
    Source: Keras 3.15 `keras.dtype_policies.AWQDTypePolicy`.
    """

    _algorithm, _numbers = "awq", ("weight_bits", "group_size")

    def _check_number(self, name, value, mode):
        if name == "weight_bits" and value != 4:
            raise ValueError(
                "AWQDTypePolicy: Invalid weight_bits in `mode`, AWQ only supports 4-bit weights. "
                f"Received: {value} in mode={mode!r}"
            )
        super()._check_number(name, value, mode)


# int4 without a block size is what files of earlier versions have.
_BY_MODE = {
    "int4/": Int4DTypePolicy,
    "gptq": GPTQDTypePolicy,
    "awq": AWQDTypePolicy,
    "float8": QuantizedFloat8DTypePolicy,
}
