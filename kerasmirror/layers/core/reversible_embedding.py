"""ReversibleEmbedding: an embedding that also maps vectors back to scores of the vocabulary."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import set_keras_mask
from kerasmirror.layers.core.embedding import Embedding
from kerasmirror.layers.core.quantized_embedding import QuantizedReversibleEmbedding
from kerasmirror.layers.layer import float_inputs


@export("layers.ReversibleEmbedding")
class ReversibleEmbedding(QuantizedReversibleEmbedding, Embedding):
    """`embeddings[inputs]`, or with `reverse=True` the scores `inputs @ embeddings.T`.

    With `tie_weights=False` the scores are `inputs @ reverse_embeddings`, weights of their own;
    with `logit_soft_cap` c they become `c * tanh(scores / c)`; with `reverse_dtype` they are
    computed in that dtype.
    Shapes: embeddings (input_dim, output_dim), reverse_embeddings (output_dim, input_dim); in
    reverse inputs (..., output_dim), result (..., input_dim).
    Source: Press and Wolf 2016, https://arxiv.org/abs/1608.05859; Keras 3.15
    `keras.layers.ReversibleEmbedding`.
    """

    def __init__(
        self,
        input_dim,
        output_dim,
        tie_weights=True,
        embeddings_initializer="uniform",
        embeddings_regularizer=None,
        embeddings_constraint=None,
        mask_zero=False,
        reverse_dtype=None,
        logit_soft_cap=None,
        **kwargs,
    ):
        # First, as `weights` among the others make the layer build itself.
        object.__setattr__(self, "tie_weights", tie_weights)
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            **kwargs,
        )
        self.tie_weights = tie_weights
        self.reverse_dtype = reverse_dtype
        self.logit_soft_cap = logit_soft_cap
        self._makes_masks = False  # call() attaches them: in reverse there is none

    def build(self, input_shape=None):
        if self.built:
            return
        super().build(input_shape)
        if not self.tie_weights and self.quantization_mode not in ("int8", "int4"):
            self.reverse_embeddings = self.add_weight(
                shape=(self.output_dim, self.input_dim),
                initializer=self.embeddings_initializer,
                name="reverse_embeddings",
            )

    def call(self, inputs, reverse=False):
        if reverse:
            return self._soft_capped(self._scores(inputs))
        outputs = super().call(inputs)
        if self.mask_zero:
            set_keras_mask(outputs, ops.not_equal(inputs, 0))
        return outputs

    def _scores(self, inputs):
        kernel = ops.transpose(self.embeddings) if self.tie_weights else self.reverse_embeddings
        if self.reverse_dtype is not None:
            inputs, kernel = (ops.cast(x, self.reverse_dtype) for x in (inputs, kernel))
        return ops.matmul(float_inputs(self, inputs), kernel)

    def _soft_capped(self, scores):
        cap = self.logit_soft_cap
        if cap is None:
            return scores
        return ops.multiply(ops.tanh(ops.divide(scores, cap)), cap)

    def compute_mask(self, inputs, mask=None):
        return None

    def compute_output_shape(self, input_shape, reverse=False):
        if reverse:
            return (*input_shape[:-1], self.input_dim)
        return (*input_shape, self.output_dim)

    def compute_output_spec(self, inputs, reverse=False):
        output_shape = self.compute_output_shape(inputs.shape, reverse)
        output = KerasTensor(output_shape, self.compute_dtype)
        if self.mask_zero and not reverse:
            set_keras_mask(output, ops.not_equal(inputs, 0))
        return output
