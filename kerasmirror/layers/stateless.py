"""Layer.stateless_call: a layer as a function of the values of its variables."""

from __future__ import annotations

import numpy as np

from kerasmirror import ops
from kerasmirror.core import tree
from kerasmirror.core.stateless import StatelessScope


class StatelessCall:
    """The part of Layer that calls it on given values."""

    def stateless_call(
        self,
        trainable_variables,
        non_trainable_variables,
        *args,
        return_losses=False,
        **kwargs,
    ):
        """`call(*args, **kwargs)` with these values of the variables, which keep their own.

        Gives (outputs, new values of the non-trainable variables), and with `return_losses` the
        losses of this call as a third. Seeds and moving statistics are non-trainable variables.
        Gradients flow to the values that are tensors on a tape.
        Raises: ValueError for a layer that is not built, or another number of values.
        Source: Keras 3.15 `keras.Layer.stateless_call`.
        """
        self._check_ready()
        owner = type(self).__name__
        if not self.built:
            raise ValueError(
                f"To call stateless_call, {owner} must be built (its variables must have been "
                "created), by calling it on data or by `build(input_shape)`."
            )
        mapping = []
        for name, variables, values in (
            ("trainable_variables", self.trainable_variables, trainable_variables),
            ("non_trainable_variables", self.non_trainable_variables, non_trainable_variables),
        ):
            if len(values) != len(variables):
                raise ValueError(
                    f"Argument `{name}` must be a list of tensors corresponding 1:1 to "
                    f"{owner}().{name}. Received list with length {len(values)}, but expected "
                    f"{len(variables)} variables."
                )
            mapping.extend(zip(variables, values, strict=True))
        args, kwargs = (tree.map_structure(_array_as_tensor, each) for each in (args, kwargs))
        with StatelessScope(mapping, collect_losses=return_losses) as scope:
            outputs = self._call_in_use(*args, **kwargs)
            losses = self.losses if return_losses else None
        updated = [scope.get_current_value(v) for v in self.non_trainable_variables]
        return (outputs, updated, losses) if return_losses else (outputs, updated)

    def add_metric(self, *args, **kwargs):
        """Not there any more, in Keras neither.

        Raises: NotImplementedError, which says what to use.
        """
        raise NotImplementedError(
            f"{type(self).__name__}.add_metric: give metrics to `Model.compile(metrics=[...])`, or "
            "make a metric an attribute of the layer and call its `update_state()`."
        )


def _array_as_tensor(value):
    return ops.convert_to_tensor(value) if isinstance(value, np.ndarray) else value
