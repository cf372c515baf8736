"""SwapEMAWeights: evaluation with the weights' moving average."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.callbacks.callback import Callback


@export("callbacks.SwapEMAWeights")
class SwapEMAWeights(Callback):
    """Puts the optimizer's moving average of the weights in their place while the model is tested.

    Needs an optimizer with `use_ema=True`. With `swap_on_epoch` the average is also there at the
    end of each epoch, for callbacks that save the model; this one comes before them in the list.
    Raises: ValueError for an optimizer without the average.
    Source: Keras 3.15 `keras.callbacks.SwapEMAWeights`.
    """

    def __init__(self, swap_on_epoch=False):
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._ema_weights_in_model = False

    def _pairs(self):
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        pairs = []
        for one in getattr(optimizer, "optimizers", [optimizer]):
            if getattr(one, "use_ema", False):
                pairs.extend(
                    zip(one._trainable_variables, one._model_variables_moving_average, strict=True)
                )
        if not pairs:
            raise ValueError(
                "SwapEMAWeights: the optimizer must have `use_ema=True` (SwapEMAWeights must be "
                "used when `use_ema=True` is set). "
                f"Received: optimizer={optimizer!r}"
            )
        return [(variable, average) for variable, average in pairs if average is not None]

    def _swap(self, in_model):
        if in_model == self._ema_weights_in_model:
            return
        for variable, average in self._pairs():
            value = variable.numpy()
            variable.assign(average.data)
            average.assign(value)
        self._ema_weights_in_model = in_model

    def on_epoch_begin(self, epoch, logs=None):
        if self.swap_on_epoch:
            self._swap(in_model=False)

    def on_epoch_end(self, epoch, logs=None):
        if not self.swap_on_epoch:
            return
        self._swap(in_model=True)
        if epoch == self.params["epochs"] - 1:
            # The optimizer ends by copying its average to the weights: it must hold it again.
            for variable, average in self._pairs():
                average.assign(variable.data)

    def on_test_begin(self, logs=None):
        self._swap(in_model=True)

    def on_test_end(self, logs=None):
        self._swap(in_model=False)

    def on_predict_begin(self, logs=None):
        self._swap(in_model=True)

    def on_predict_end(self, logs=None):
        self._swap(in_model=False)
