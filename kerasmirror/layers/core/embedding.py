"""Embedding: whole numbers to learned vectors."""

from __future__ import annotations

import warnings

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.core.serialization import serialize_keras_object
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.layers.core.quantized_embedding import QuantizedEmbedding
from kerasmirror.layers.weight_options import add_weight_with_options, keep_weight_options
from kerasmirror.ops.nn.embedding import embedding_rows


@export("layers.Embedding")
class Embedding(QuantizedEmbedding):
    """`embeddings[inputs]`: for each whole number in [0, input_dim) its learned vector.

    Shapes: inputs (...), embeddings (input_dim, output_dim), result (..., output_dim).
    Args: with `mask_zero`, 0 stands for "nothing here" and is masked; `weights` are the first
    embeddings; for LoRA see `Dense`.
    Raises: ValueError for dimensions below 1, IndexError for a number that has no vector.
    Source: Keras 3.15 `keras.layers.Embedding`.
    """

    main_weight = "embeddings"

    def __init__(
        self,
        input_dim,
        output_dim,
        embeddings_initializer="uniform",
        embeddings_regularizer=None,
        embeddings_constraint=None,
        mask_zero=False,
        weights=None,
        lora_rank=None,
        lora_alpha=None,
        quantization_config=None,
        **kwargs,
    ):
        owner = type(self).__name__
        if kwargs.pop("input_length", None) is not None:
            warnings.warn(
                f"{owner}: `input_length` is deprecated and does nothing. Just remove it.",
                stacklevel=2,
            )
        super().__init__(**kwargs)
        for name, value in (("input_dim", input_dim), ("output_dim", output_dim)):
            if type(value) is not int:  # Keras takes no NumPy numbers here
                checks.fail(owner, name, "a positive integer", value)
            setattr(self, name, checks.positive_int(value, name, owner=owner))
        keep_weight_options(
            self,
            embeddings=(embeddings_initializer, embeddings_regularizer, embeddings_constraint),
        )
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self._makes_masks = bool(mask_zero)
        self.autocast = False  # numbers of rows stay what they are
        self._keep_lora(lora_rank, lora_alpha)
        self.quantization_config = quantization_config
        if weights is not None:
            self.build()
            self.set_weights(weights if _is_list_of_one(weights) else [weights])

    def build(self, input_shape=None):
        if self.built:
            return
        shape = (self.input_dim, self.output_dim)
        mode = self.quantization_mode
        if mode is not None:
            self.quantized_build(shape, mode=mode, config=self.quantization_config)
        if mode not in ("int8", "int4"):  # those have embeddings of their own
            self._embeddings = add_weight_with_options(self, "embeddings", shape)
        self._enable_lora_if_asked()

    @property
    def embeddings(self):
        return self._adapted_weight()

    def call(self, inputs):
        indices = self._whole(inputs)
        outputs = self._rows_of(self._embeddings, indices)
        if self.lora_enabled:
            first, second = self._lora_factors()
            product = ops.matmul(self._rows_of(first, indices), second)
            outputs = ops.add(outputs, ops.multiply(product, self._lora_scale()))
        if outputs.dtype == self.compute_dtype:
            return outputs
        return ops.cast(outputs, self.compute_dtype)

    def _whole(self, inputs):
        return inputs if inputs.dtype in ("int32", "int64") else ops.cast(inputs, "int32")

    def _rows_of(self, table, indices):
        owner = f"{type(self).__name__}: layer '{self._path or self._name}'"
        return embedding_rows(table, indices, owner=owner)

    def compute_mask(self, inputs, mask=None):
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.output_dim)

    def compute_output_spec(self, inputs):
        return KerasTensor(self.compute_output_shape(inputs.shape), self.compute_dtype)

    def get_config(self):
        config = super().get_config()
        config["activity_regularizer"] = config.get("activity_regularizer")
        config["quantization_config"] = serialize_keras_object(self.quantization_config)
        if self.lora_rank:
            config.update(lora_rank=self.lora_rank, lora_alpha=self.lora_alpha)
        return config


def _is_list_of_one(value):
    return isinstance(value, list) and len(value) == 1
