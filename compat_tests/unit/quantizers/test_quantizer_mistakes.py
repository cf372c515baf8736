"""What a user can get wrong with quantizers and their policies: Keras's exception, our text."""

from __future__ import annotations

import numpy as np
import pytest
from cases.mistakes import Mistake, other_types, place, raised_by


class _Fake:
    """A quantizer with another output."""

    output_dtype, value_range = "int16", (-8, 7)


MODES = "('int8', 'float8', 'int4', 'gptq', 'awq')"
MISTAKES = [
    Mistake(
        lambda keras: keras.dtype_policies.QuantizedDTypePolicy("int7"),
        ValueError,
        "QuantizedDTypePolicy: Invalid quantization mode. `mode` must be one of "
        f"{MODES}. Received: mode='int7'",
    ),
    Mistake(
        lambda keras: keras.dtype_policies.get("int8_from_float16"),
        ValueError,
        "QuantizedDTypePolicy: mode='int8' doesn't work well with a source that computes in "
        "float16. Received: source_name='float16'",
    ),
    Mistake(
        lambda keras: keras.dtype_policies.get("int8_float32"),
        ValueError,
        "keras.dtype_policies.get: Cannot convert `policy` into a valid pair of mode and source, "
        "it must be '<mode>_from_<source>'. Received: policy='int8_float32'",
    ),
    Mistake(
        lambda keras: keras.dtype_policies.QuantizedFloat8DTypePolicy("float8", "float32", 1.5),
        TypeError,
        "QuantizedFloat8DTypePolicy: `amax_history_length` must be an integer. "
        "Received: amax_history_length=1.5",
    ),
    Mistake(
        lambda keras: keras.dtype_policies.Int4DTypePolicy("int4/0", "float32"),
        ValueError,
        "Int4DTypePolicy: Invalid block_size in `mode`, it must be -1 or a positive integer. "
        "Received: 0 in mode='int4/0'",
    ),
    Mistake(
        lambda keras: keras.dtype_policies.Int4DTypePolicy("int4", "float32"),
        ValueError,
        "Int4DTypePolicy: Invalid mode, `mode` must be 'int4/<block_size>'. Received: mode='int4'",
    ),
    Mistake(
        lambda keras: keras.dtype_policies.GPTQDTypePolicy("gptq/5/8", "float32"),
        ValueError,
        "GPTQDTypePolicy: Invalid weight_bits in `mode`, it must be 2, 3, 4 or 8. "
        "Received: 5 in mode='gptq/5/8'",
    ),
    Mistake(
        lambda keras: keras.dtype_policies.GPTQDTypePolicy("gptq/4/x", "float32"),
        ValueError,
        "GPTQDTypePolicy: Invalid mode, <group_size> in 'gptq/<weight_bits>/<group_size>' must be "
        "an integer. Received: mode='gptq/4/x'",
    ),
    Mistake(
        lambda keras: keras.dtype_policies.AWQDTypePolicy("awq/8/8", "float32"),
        ValueError,
        "AWQDTypePolicy: Invalid weight_bits in `mode`, AWQ only supports 4-bit weights. "
        "Received: 8 in mode='awq/8/8'",
    ),
    Mistake(
        lambda keras: keras.dtype_policies.DTypePolicyMap(policy_map=3),
        TypeError,
        "DTypePolicyMap: If specified, `policy_map` must be a dict. Received: policy_map=3",
    ),
    Mistake(
        lambda keras: keras.dtype_policies.DTypePolicyMap(policy_map={"a": "bfloat16"}).update(
            a="int8"
        ),
        ValueError,
        "DTypePolicyMap: a already exist in the DTypePolicyMap, a key must be new. "
        "Received: key='a', which has the policy <DTypePolicy \"bfloat16\">",
    ),
    Mistake(
        lambda keras: keras.dtype_policies.DTypePolicyMap("float32").update(a=3),
        ValueError,
        "DTypePolicyMap: Cannot interpret the assigned value, it must be what "
        "`keras.dtype_policies.get` takes. Received: 3",
    ),
    Mistake(
        lambda keras: keras.dtype_policies.DTypePolicyMap(
            "float32", {"a.*": keras.DTypePolicy("float16"), ".b": keras.DTypePolicy("float16")}
        )["ab"],
        ValueError,
        "DTypePolicyMap: Path 'ab' matches multiple dtype policy keys, it must match at most one. "
        "Received: keys ['a.*', '.b']",
    ),
    Mistake(
        lambda keras: keras.dtype_policies.get(3),
        ValueError,
        "keras.dtype_policies.get: Cannot interpret `dtype` argument, it must be a DTypePolicy, "
        "its name, or a dtype. Received: dtype=3",
    ),
    Mistake(
        lambda keras: keras.config.set_dtype_policy(None),
        ValueError,
        "keras.config.set_dtype_policy: Invalid `policy` argument, it must be a DTypePolicy or its "
        "name. Received: policy=None",
    ),
    Mistake(
        lambda keras: keras.quantizers.get("typo"),
        ValueError,
        "keras.quantizers.get: `identifier` must be a quantizer, its name or its config. "
        "Received: identifier='typo'",
    ),
    Mistake(
        lambda keras: keras.quantizers.AbsMaxQuantizer(value_range=(-128, 128)),
        ValueError,
        "AbsMaxQuantizer: `value_range` must be within [-128, 127] where output_dtype='int8'. "
        "Received: value_range=(-128, 128)",
    ),
    Mistake(
        lambda keras: keras.quantizers.Quantizer().get_config(),
        NotImplementedError,
        "Quantizer does not implement get_config()",
    ),
    Mistake(
        lambda keras: keras.quantizers.pack_int4(np.zeros((2, 2), "int8"), dtype="int4"),
        ValueError,
        "keras.quantizers.pack_int4: `dtype` must be one of 'int8', 'uint8'. Received: "
        "dtype='int4'",
    ),
    Mistake(
        lambda keras: keras.quantizers.pack_int4(np.zeros((2, 2), "int32")),
        TypeError,
        "keras.quantizers.pack_int4: `arr` must have the dtype int8. "
        "Received: an array of dtype int32",
    ),
    Mistake(
        lambda keras: keras.quantizers.unpack_int4(np.zeros((2, 2), "int32"), 4),
        TypeError,
        "keras.quantizers.unpack_int4: `packed` must have the dtype int8 or uint8. "
        "Received: an array of dtype int32",
    ),
    Mistake(
        lambda keras: keras.quantizers.Int4QuantizationConfig(block_size=0),
        ValueError,
        "Int4QuantizationConfig: block_size must be None, -1, or a positive integer. "
        "Received: block_size=0",
    ),
    Mistake(
        lambda keras: keras.quantizers.Int4QuantizationConfig(keras.quantizers.AbsMaxQuantizer()),
        ValueError,
        "Int4QuantizationConfig: Int4 sub-channel quantization (block_size > 0) does not support "
        "custom quantizers, `block_size` must be None or -1 with them. Received: block_size=128",
    ),
    Mistake(
        lambda keras: keras.quantizers.Int4QuantizationConfig(
            keras.quantizers.AbsMaxQuantizer(), block_size=None
        ),
        ValueError,
        "Int4QuantizationConfig: `weight_quantizer` must have value_range=(-8, 7). "
        "Received: value_range=(-127, 127)",
    ),
    Mistake(
        lambda keras: keras.quantizers.Int8QuantizationConfig(_Fake()),
        ValueError,
        "Int8QuantizationConfig: `weight_quantizer` must have output_dtype='int8'. "
        "Received: output_dtype='int16'",
    ),
    Mistake(
        lambda keras: keras.quantizers.QuantizationConfig().mode,
        NotImplementedError,
        "QuantizationConfig: `mode` must be implemented by a subclass. Do not instantiate "
        "QuantizationConfig directly.",
    ),
    Mistake(
        lambda keras: keras.quantizers.GPTQConfig(None, None, weight_bits=5),
        ValueError,
        "GPTQConfig: Unsupported weight_bits, it must be 2, 3, 4 or 8. Received: weight_bits=5",
    ),
    Mistake(
        lambda keras: keras.quantizers.GPTQConfig(None, None, hessian_damping=2),
        ValueError,
        "GPTQConfig: hessian_damping must be between 0 and 1. Received: hessian_damping=2",
    ),
    Mistake(
        lambda keras: keras.quantizers.AWQConfig(None, None, group_size=0),
        ValueError,
        "AWQConfig: Invalid group_size. Supported values are -1 (one group) or a positive "
        "integer. Received: group_size=0",
    ),
    Mistake(
        lambda keras: keras.quantizers.AWQConfig(None, None, num_samples=0),
        ValueError,
        "AWQConfig: num_samples must be a positive integer. Received: num_samples=0",
    ),
    Mistake(
        lambda keras: keras.quantizers.AWQConfig(None, None, num_grid_points=0),
        ValueError,
        "AWQConfig: num_grid_points must be a positive integer. Received: num_grid_points=0",
    ),
    Mistake(
        lambda keras: keras.quantizers.AWQConfig(None, None, weight_bits=8),
        ValueError,
        "AWQConfig: AWQ only supports 4-bit quantization. Received: weight_bits=8",
    ),
    Mistake(
        lambda keras: keras.quantizers.fake_quant_with_min_max_vars(
            np.ones(3, "float32"), 0.0, 1.0, num_bits=1
        ),
        ValueError,
        "keras.quantizers.fake_quant_with_min_max_vars: `num_bits` must be an int of 2 to 16. "
        "Received: num_bits=1",
        keras_does="InvalidArgumentError",
    ),
    Mistake(
        lambda keras: keras.quantizers.fake_quant_with_min_max_vars(
            np.ones((3, 2), "float32"), [0.0] * 3, [1.0] * 3, axis=1
        ),
        ValueError,
        "keras.quantizers.fake_quant_with_min_max_vars: `min_vals` must be of 2 value(s). "
        "Received: min_vals.shape=(3,)",
        keras_does="InvalidArgumentError",
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=place)
def test_each_mistake_raises_its_error_with_the_whole_text(mistake):
    assert raised_by(mistake) == (mistake.error, mistake.message)


@pytest.mark.keras
def test_keras_raises_the_same_exception_types():
    keras = pytest.importorskip("keras", reason="real Keras is not installed")
    assert other_types(MISTAKES, keras) == []
