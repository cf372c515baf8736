"""Quantization configs: what `quantize` does, beyond the name of the mode."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core import serialization
from kerasmirror.core.dtype_policy import QUANTIZATION_MODES
from kerasmirror.quantizers.abs_max import AbsMaxQuantizer


@export("quantizers.QuantizationConfig")
class QuantizationConfig:
    """Base of configs: `mode`, and the quantizers of weights and activations (None: the mode's).

    Source: Keras 3.15 `keras.quantizers.QuantizationConfig`.
    """

    def __init__(self, weight_quantizer=None, activation_quantizer=None):
        self.weight_quantizer = weight_quantizer
        self.activation_quantizer = activation_quantizer

    @property
    def mode(self):
        raise NotImplementedError(
            f"{type(self).__name__}: `mode` must be implemented by a subclass. Do not instantiate "
            "QuantizationConfig directly."
        )

    def get_config(self):
        """The constructor's arguments as plain data."""
        return {
            "weight_quantizer": serialization.serialize_keras_object(self.weight_quantizer),
            "activation_quantizer": serialization.serialize_keras_object(self.activation_quantizer),
        }

    @classmethod
    def from_config(cls, config):
        """A config built from what `get_config` gave."""
        return cls(**serialization.deserialize_keras_object(dict(config)))

    @staticmethod
    def weight_quantizer_or_default(config, default):
        """The config's quantizer of weights, `default` where it has none."""
        if config is None or config.weight_quantizer is None:
            return default
        return config.weight_quantizer

    @staticmethod
    def activation_quantizer_or_default(config, default):
        """The config's quantizer of activations (None: they stay floats), `default` without one."""
        return default if config is None else config.activation_quantizer


@export("quantizers.Int8QuantizationConfig")
class Int8QuantizationConfig(QuantizationConfig):
    """int8 weights with a scale for each output, int8 inputs with a scale for each row.

    `activation_quantizer` None leaves the inputs floats.
    Raises: ValueError for a quantizer of weights that does not give int8.
    Source: Keras 3.15 `keras.quantizers.Int8QuantizationConfig`.
    """

    mode = "int8"

    def __init__(self, weight_quantizer=None, activation_quantizer="default"):
        if activation_quantizer == "default":
            activation_quantizer = AbsMaxQuantizer()
        super().__init__(weight_quantizer, activation_quantizer)
        _check_int8("Int8QuantizationConfig", weight_quantizer)


@export("quantizers.Int4QuantizationConfig")
class Int4QuantizationConfig(QuantizationConfig):
    """int4 weights, two in a byte, with a scale and a zero point for each `block_size` inputs.

    `block_size` None or -1 is one scale for each output, which alone takes quantizers of one's own.
    Raises: ValueError for another block size, for quantizers together with one, and for a quantizer
    of weights that does not give int8 within [-8, 7].
    Source: Keras 3.15 `keras.quantizers.Int4QuantizationConfig`.
    """

    mode = "int4"

    def __init__(self, weight_quantizer=None, activation_quantizer="default", block_size=128):
        if activation_quantizer == "default":
            activation_quantizer = None
        super().__init__(weight_quantizer, activation_quantizer)
        owner = "Int4QuantizationConfig"
        whole = isinstance(block_size, int) and not isinstance(block_size, bool)
        if block_size is not None and not (whole and (block_size == -1 or block_size > 0)):
            raise ValueError(
                f"{owner}: block_size must be None, -1, or a positive integer. "
                f"Received: block_size={block_size!r}"
            )
        self.block_size = block_size
        own = weight_quantizer is not None or activation_quantizer is not None
        if own and block_size is not None and block_size > 0:
            raise ValueError(
                f"{owner}: Int4 sub-channel quantization (block_size > 0) does not support custom "
                "quantizers, `block_size` must be None or -1 with them. "
                f"Received: block_size={block_size}"
            )
        if weight_quantizer is not None and tuple(weight_quantizer.value_range) != (-8, 7):
            raise ValueError(
                f"{owner}: `weight_quantizer` must have value_range=(-8, 7). "
                f"Received: value_range={weight_quantizer.value_range}"
            )
        _check_int8(owner, weight_quantizer)

    def get_config(self):
        return {**super().get_config(), "block_size": self.block_size}

    @classmethod
    def from_config(cls, config):
        # Files from before block sizes have none.
        return super().from_config({"block_size": None, **config})


@export("quantizers.Float8QuantizationConfig")
class Float8QuantizationConfig(QuantizationConfig):
    """Float8 training; there is nothing to choose.

    Source: Keras 3.15 `keras.quantizers.Float8QuantizationConfig`.
    """

    mode = "float8"

    def __init__(self):
        super().__init__(None, None)

    def get_config(self):
        return {}


class _CalibratedConfig(QuantizationConfig):
    """A config of an algorithm that looks at data; data and tokenizer are not saved."""

    def _check(self):
        owner = type(self).__name__
        for name in ("num_samples", "sequence_length"):
            if getattr(self, name) <= 0:
                raise ValueError(
                    f"{owner}: {name} must be a positive integer. "
                    f"Received: {name}={getattr(self, name)!r}"
                )
        if self.group_size < -1 or self.group_size == 0:
            raise ValueError(
                f"{owner}: Invalid group_size. Supported values are -1 (one group) or a positive "
                f"integer. Received: group_size={self.group_size!r}"
            )

    def dtype_policy_string(self):
        """The mode in the name of a layer's dtype policy: "gptq/4/128"."""
        return f"{self.mode}/{self.weight_bits}/{self.group_size}"

    def get_config(self):
        config = {name: value for name, value in vars(self).items() if name not in _QUANTIZERS}
        return {**config, "dataset": None, "tokenizer": None}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


_QUANTIZERS = ("weight_quantizer", "activation_quantizer")


@export("quantizers.GPTQConfig")
class GPTQConfig(_CalibratedConfig):
    """Weights rounded one input at a time, the rest corrected for the error it makes on data.

    Args: `dataset` (texts, or token ids) and `tokenizer` give `num_samples` sequences of
    `sequence_length`; 2, 3, 4 or 8 `weight_bits`; one scale and zero point for each output
    (`per_channel`) and `group_size` inputs (-1: all); `symmetric` ranges; inputs in the order of
    their `activation_order`; `hessian_damping` of the mean of the Hessian's diagonal is added to
    it; `quantization_layer_structure` says what runs before the blocks and which blocks there are:
    {"pre_block_layers": [...], "sequential_blocks": [...]}.
    Raises: ValueError for a value out of range.
    Source: Frantar et al. 2022, https://arxiv.org/abs/2210.17323; Keras 3.15
    `keras.quantizers.GPTQConfig`.
    """

    mode = "gptq"

    def __init__(
        self,
        dataset,
        tokenizer,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        per_channel: bool = True,
        sequence_length: int = 512,
        hessian_damping: float = 0.01,
        group_size: int = 128,
        symmetric: bool = False,
        activation_order: bool = False,
        quantization_layer_structure: dict = None,
    ):
        super().__init__()
        self.dataset = dataset
        self.tokenizer = tokenizer
        self.num_samples = num_samples
        self.per_channel = per_channel
        self.sequence_length = sequence_length
        self.hessian_damping = hessian_damping
        self.weight_bits = weight_bits
        self.group_size = group_size
        self.symmetric = symmetric
        self.activation_order = activation_order
        self.quantization_layer_structure = quantization_layer_structure
        if weight_bits not in (2, 3, 4, 8):
            raise ValueError(
                "GPTQConfig: Unsupported weight_bits, it must be 2, 3, 4 or 8. "
                f"Received: weight_bits={weight_bits!r}"
            )
        self._check()
        if not 0 <= hessian_damping <= 1:
            raise ValueError(
                "GPTQConfig: hessian_damping must be between 0 and 1. "
                f"Received: hessian_damping={hessian_damping!r}"
            )


@export("quantizers.AWQConfig")
class AWQConfig(_CalibratedConfig):
    """4-bit weights, with inputs scaled beforehand so that those with large values lose least.

    Args: as of `GPTQConfig`; `num_grid_points` exponents between 0 and 1 are tried.
    Raises: ValueError for a value out of range.
    Source: Lin et al. 2023, https://arxiv.org/abs/2306.00978; Keras 3.15
    `keras.quantizers.AWQConfig`.
    """

    mode = "awq"

    def __init__(
        self,
        dataset,
        tokenizer,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        sequence_length: int = 512,
        group_size: int = 128,
        num_grid_points: int = 20,
        quantization_layer_structure: dict = None,
    ):
        super().__init__()
        self.dataset = dataset
        self.tokenizer = tokenizer
        self.weight_bits = weight_bits
        self.num_samples = num_samples
        self.sequence_length = sequence_length
        self.group_size = group_size
        self.num_grid_points = num_grid_points
        self.quantization_layer_structure = quantization_layer_structure
        if weight_bits != 4:
            raise ValueError(
                "AWQConfig: AWQ only supports 4-bit quantization. "
                f"Received: weight_bits={weight_bits!r}"
            )
        self._check()
        if num_grid_points <= 0:
            raise ValueError(
                "AWQConfig: num_grid_points must be a positive integer. "
                f"Received: num_grid_points={num_grid_points!r}"
            )


_DEFAULTS = {
    "int8": Int8QuantizationConfig,
    "int4": Int4QuantizationConfig,
    "float8": Float8QuantizationConfig,
}
_CALIBRATED = {"gptq": GPTQConfig, "awq": AWQConfig}


def resolved(mode, config, owner):
    """The config that `quantize(mode, config)` of `owner` means; a mode may stand in its place.

    Raises: ValueError for an unknown mode, one that contradicts the config, or a missing config.
    """
    if isinstance(config, str):
        mode, config = config, None
    _check_mode(mode, owner)
    if config is None:
        if mode is None:
            raise ValueError(f"{owner}: either `mode` or `config` must be given. Received: neither")
        if mode in _CALIBRATED:
            name = _CALIBRATED[mode].__name__
            article = "an" if name[0] == "A" else "a"
            raise ValueError(
                f"{owner}: For {mode.upper()}, you must pass {article} `{name}` object in the "
                "`config` argument. Received: config=None"
            )
        return _DEFAULTS[mode]()
    if not isinstance(config, QuantizationConfig):
        raise ValueError(
            f"{owner}: Argument `config` must be an instance of `QuantizationConfig`. "
            f"Received: config={config!r}"
        )
    if mode is not None and config.mode != mode:
        raise ValueError(
            f"{owner}: Contradictory arguments, `mode` must be that of `config`. "
            f"Received: mode={mode!r} and config.mode={config.mode!r}"
        )
    _check_mode(config.mode, owner)
    expected = _CALIBRATED.get(config.mode, QuantizationConfig)
    if not isinstance(config, expected):
        raise ValueError(
            f"{owner}: mode={config.mode!r} requires a valid `config`, a `{expected.__name__}`. "
            f"Received: config={config!r}"
        )
    return config


def _check_mode(mode, owner):
    if mode is not None and mode not in QUANTIZATION_MODES:
        raise ValueError(
            f"{owner}: Invalid quantization mode. Expected one of {QUANTIZATION_MODES}. "
            f"Received: mode={mode!r}"
        )


def _check_int8(owner, quantizer):
    if quantizer is not None and quantizer.output_dtype != "int8":
        raise ValueError(
            f"{owner}: `weight_quantizer` must have output_dtype='int8'. "
            f"Received: output_dtype={quantizer.output_dtype!r}"
        )
