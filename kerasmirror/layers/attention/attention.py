"""Attention and AdditiveAttention: one head, no projections."""

from __future__ import annotations

from kerasmirror import ops, random
from kerasmirror._export import export
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.layers.layer import Layer
from kerasmirror.layers.regularization import checked_rate


@export("layers.Attention")
class Attention(Layer):
    """`softmax(scores) @ value` with scores `query @ key^T`, or `sum(tanh(query + key))`.

    Called on [query, value] or [query, value, key]; masks likewise, [query_mask, value_mask]. The
    scores are "dot" or "concat"; `use_scale` multiplies them (for "concat" what is in tanh) by a
    learned number, and "concat" has another one of its own.
    Shapes: query (N, T, C), value and key (N, S, C), result (N, T, C), scores (N, T, S).
    Raises: ValueError for an unknown `score_mode`, a dropout outside [0, 1], or inputs that are no
    such list.
    Source: Luong et al. 2015, https://arxiv.org/abs/1508.04025; Keras 3.15.
    """

    def __init__(self, use_scale=False, score_mode="dot", dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.use_scale = use_scale
        self.score_mode = score_mode
        self.dropout = checked_rate(dropout, "dropout", type(self).__name__)
        self.seed = seed
        if dropout > 0:
            self.seed_generator = random.SeedGenerator(seed)
        if score_mode not in ("dot", "concat"):
            raise ValueError(
                f"{type(self).__name__}: Invalid value for argument score_mode. Expected one of "
                f"'dot', 'concat'. Received: score_mode={score_mode!r}"
            )

    def build(self, input_shape):
        self._validate_inputs(input_shape)
        self.scale = self.concat_score_weight = None
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(
                name="concat_score_weight", shape=(), initializer="ones"
            )

    def _calculate_scores(self, query, key):
        if self.score_mode == "dot":
            scores = ops.matmul(query, ops.swapaxes(key, -2, -1))
            return scores if self.scale is None else ops.multiply(scores, self.scale)
        total = ops.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3))
        if self.scale is not None:
            total = ops.multiply(total, self.scale)
        return ops.multiply(self.concat_score_weight, ops.sum(ops.tanh(total), axis=-1))

    def _apply_scores(self, scores, value, scores_mask=None, training=False):
        if scores_mask is not None:
            if len(scores_mask.shape) == 2:
                scores_mask = ops.expand_dims(scores_mask, -2)
            lower = 65504.0 if scores.dtype == "float16" else 1.0e9
            scores = ops.where(scores_mask, scores, ops.subtract(scores, lower))
        weights = ops.softmax(scores, axis=-1)
        if training and self.dropout > 0:
            weights = random.dropout(weights, self.dropout, seed=self.seed_generator)
        return ops.matmul(weights, value), weights

    def _calculate_score_mask(self, scores, v_mask, use_causal_mask):
        if not use_causal_mask:
            return v_mask
        causal = causal_mask(*scores.shape[-2:])
        return causal if v_mask is None else ops.logical_and(ops.expand_dims(v_mask, -2), causal)

    def call(
        self,
        inputs,
        mask=None,
        training=False,
        return_attention_scores=False,
        use_causal_mask=False,
    ):
        mask = None if mask is None or all(m is None for m in mask) else mask
        self._validate_inputs(inputs, mask)
        query, value = inputs[0], inputs[1]
        key = inputs[2] if len(inputs) > 2 else value
        q_mask, v_mask = (mask[0], mask[1]) if mask else (None, None)
        scores = self._calculate_scores(query, key)
        scores_mask = self._calculate_score_mask(scores, v_mask, use_causal_mask)
        outputs, weights = self._apply_scores(scores, value, scores_mask, training)
        if q_mask is not None:
            outputs = ops.where(ops.expand_dims(q_mask, -1), outputs, 0)
        return (outputs, weights) if return_attention_scores else outputs

    def compute_mask(self, inputs, mask=None):
        self._validate_inputs(inputs, mask)
        return None if mask is None or mask[0] is None else ops.convert_to_tensor(mask[0])

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:-1], input_shape[1][-1])

    def compute_output_spec(
        self,
        inputs,
        mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
    ):
        self._validate_inputs(inputs, mask)
        query, key = inputs[0], inputs[-1]
        shape = self.compute_output_shape([x.shape for x in inputs])
        output = KerasTensor(shape, self.compute_dtype)
        if not return_attention_scores:
            return output
        return output, KerasTensor((*query.shape[:-1], key.shape[-2]), self.compute_dtype)

    def _validate_inputs(self, inputs, mask=None):
        name = type(self).__name__
        if not isinstance(inputs, list):
            raise ValueError(
                f"{name} layer must be called on a list of inputs, namely [query, value] or "
                f"[query, value, key]. Received: inputs={inputs}."
            )
        if len(inputs) not in (2, 3):
            raise ValueError(
                f"{name} layer accepts inputs list of length 2 or 3, namely [query, value] or "
                f"[query, value, key]. Received length: {len(inputs)}."
            )
        if mask is not None and not isinstance(mask, list):
            raise ValueError(
                f"{name} layer mask must be a list, namely [query_mask, value_mask]. "
                f"Received: mask={mask}."
            )
        if mask is not None and len(mask) not in (2, 3):
            raise ValueError(
                f"{name} layer accepts mask list of length 2 or 3. "
                f"Received: inputs={inputs}, mask={mask}."
            )


@export("layers.AdditiveAttention")
class AdditiveAttention(Attention):
    """`softmax(scores) @ value` with scores `sum(scale * tanh(query + key))`.

    Shapes and calls as `Attention`; scale (C,), learned, or 1 without `use_scale`.
    Source: Bahdanau et al. 2015, https://arxiv.org/abs/1409.0473; Keras 3.15.
    """

    def __init__(self, use_scale=True, dropout=0.0, **kwargs):
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape):
        self._validate_inputs(input_shape)
        self.scale = None
        if self.use_scale:
            self.scale = self.add_weight(
                name="scale", shape=(input_shape[0][-1],), initializer="glorot_uniform"
            )

    def _calculate_scores(self, query, key):
        total = ops.tanh(ops.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3)))
        if self.scale is not None:
            total = ops.multiply(self.scale, total)
        return ops.sum(total, axis=-1)

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


def causal_mask(queries, keys):
    """(1, queries, keys): True where a query is not before the key."""
    rows, columns = ops.arange(queries), ops.arange(keys)
    return ops.greater_equal(ops.expand_dims(rows, (0, 2)), ops.expand_dims(columns, (0, 1)))
