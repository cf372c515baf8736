"""LayerQuantization: in which dtypes a layer works, and how its weights come to be quantized."""

from __future__ import annotations

import functools

from kerasmirror.core import dtype_policy, scopes
from kerasmirror.core.dtype_policy import QUANTIZATION_MODES
from kerasmirror.core.dtype_policy_map import DTypePolicyMap
from kerasmirror.core.quantized_policy import Int4DTypePolicy
from kerasmirror.quantizers.config import Int4QuantizationConfig, resolved


def wrap_quantize(quantize):
    """`quantize` with its arguments checked, on a layer that may have new weights meanwhile."""

    @functools.wraps(quantize)
    def wrapper(self, mode=None, config=None, **kwargs):
        if self.__dict__.get("_quantizing"):  # a subclass's quantize that calls super().quantize()
            return quantize(self, mode=mode, config=config, **kwargs)
        config = resolved(mode, config, f"{type(self).__name__}.quantize")
        self._check_quantize_args(config.mode, self.compute_dtype)
        locked = self._tracker.locked_message
        self._tracker.unlock()
        self.__dict__["_quantizing"] = True
        try:
            return quantize(self, mode=config.mode, config=config, **kwargs)
        finally:
            del self.__dict__["_quantizing"]
            if locked is not None:
                self._tracker.lock(locked)

    return wrapper


class LayerQuantization:
    """The part of a Layer that knows its dtype policy.

    A layer that can be quantized writes `quantized_build(input_shape, mode)`, which makes the
    weights and sets `_is_quantized`, `quantize`, which fills them from those it has, and a call for
    each mode (`_int8_call`, ...), which runs in the place of `call`.
    """

    _is_quantized = False

    # Dtypes. `_dtype_policy` may be a map from paths; `_policy` is this layer's own.

    @property
    def dtype_policy(self):
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value):
        policy = dtype_policy.get(value)
        before, path = self._dtype_policy, self._path
        if isinstance(before, DTypePolicyMap) and path:
            if path in before:
                del before[path]
            before[path] = policy
        else:
            self._dtype_policy = policy
        self._settle_policy()
        if policy.quantization_mode is not None and self.built and not self._is_quantized:
            try:
                self._quantize_as(policy, value)
            except BaseException:
                if self._dtype_policy is policy:
                    self._dtype_policy = before
                else:
                    del before[path]
                self._settle_policy()
                raise

    def _settle_policy(self):
        policy = self._dtype_policy
        if isinstance(policy, DTypePolicyMap) and self._path:
            policy = policy[self._path]
        self._policy = policy

    def _take_path(self):
        """Note the path of the scope that is open."""
        self._path = scopes.current_path()
        if isinstance(self._dtype_policy, DTypePolicyMap):
            self._settle_policy()

    @property
    def dtype(self):
        return self._policy.variable_dtype

    @property
    def variable_dtype(self):
        return self._policy.variable_dtype

    @property
    def compute_dtype(self):
        return self._policy.compute_dtype

    @property
    def input_dtype(self):
        return self._policy.compute_dtype

    @property
    def quantization_mode(self):
        return self._policy.quantization_mode

    # Quantization

    def quantized_build(self, input_shape, mode):
        """Make the weights of a layer quantized by `mode`; the base class can not."""
        raise self._not_implemented_error(self.quantized_build)

    @wrap_quantize
    def quantize(self, mode=None, type_check=True, config=None):
        """Put weights quantized by `mode`, or as `config` says, in the place of those there are.

        Raises: ValueError for a bad mode or config, for a layer that is not built or quantized
        already; NotImplementedError for one that cannot be quantized.
        """
        raise self._not_implemented_error(self.quantize)

    @property
    def _call_in_use(self):
        """`call`, or what takes its place in a quantized layer."""
        return self.call if self.quantization_mode is None else self.quantized_call

    def quantized_call(self, *args, **kwargs):
        """The call that takes the place of `call` in a quantized layer.

        Raises: NotImplementedError for a mode that the layer does not have.
        """
        mode = self.quantization_mode
        if mode not in QUANTIZATION_MODES:
            raise self._quantization_mode_error(mode)
        return getattr(self, f"_{mode}_call")(*args, **kwargs)

    def _int8_call(self, *args, **kwargs):
        raise self._not_implemented_error(self._int8_call)

    def _int4_call(self, *args, **kwargs):
        raise self._not_implemented_error(self._int4_call)

    def _float8_call(self, *args, **kwargs):
        raise self._not_implemented_error(self._float8_call)

    def _gptq_call(self, *args, **kwargs):
        raise self._not_implemented_error(self._gptq_call)

    def _awq_call(self, *args, **kwargs):
        raise self._not_implemented_error(self._awq_call)

    def _quantize_as(self, policy, value):
        """Quantize the layer as a policy says that it was given."""
        mode = policy.quantization_mode
        if mode in ("gptq", "awq"):
            name = mode.upper()
            raise ValueError(
                f"{type(self).__name__}: Implicitly enabling {name} quantization by setting "
                f"`dtype_policy` is not supported, as it needs data; call "
                f"`layer.quantize({mode!r}, config=keras.quantizers.{name}Config(...))`. "
                f"Received: dtype_policy={value!r}"
            )
        config = None
        if isinstance(policy, Int4DTypePolicy):
            config = Int4QuantizationConfig(block_size=policy.block_size)
        self.quantize(mode, config=config)

    def _check_quantize_args(self, mode, compute_dtype):
        owner = f"{type(self).__name__}.quantize"
        if not self.built:
            raise ValueError(
                f"{owner}: Cannot quantize a layer that isn't yet built. "
                f"Received: layer '{self.name}'"
            )
        if self._is_quantized:
            raise ValueError(
                f"{owner}: Layer '{self.name}' is already quantized with "
                f"dtype_policy='{self.dtype_policy.name}'. Received: mode={mode!r}"
            )
        if mode == "int8" and compute_dtype == "float16":
            raise ValueError(
                f"{owner}: mode='int8' doesn't work well with a layer that computes in float16; "
                "its dtype policy must be another, such as 'mixed_bfloat16'. "
                f"Received: layer '{self.name}' with dtype_policy='{self.dtype_policy.name}'"
            )

    def _not_implemented_error(self, method):
        return NotImplementedError(
            f"Layer {type(self).__name__} does not have a `{method.__name__}` method implemented."
        )

    def _quantization_mode_error(self, mode):
        return NotImplementedError(
            f"{type(self).__name__}: Invalid quantization mode. Expected one of "
            f"{QUANTIZATION_MODES}. Received: quantization_mode={mode}"
        )
