"""EpochIterator: the batches of one epoch after another, with their step numbers."""

from __future__ import annotations

import warnings

from kerasmirror.core import checks, config
from kerasmirror.training.data import batch as batches
from kerasmirror.training.data.adapter import adapter_for


class EpochIterator:
    """Yields (first step, last step, list of batches), `steps_per_execution` batches at a time.

    With `steps_per_epoch`, an epoch is that many steps and goes on where the last one ended;
    otherwise it is one pass over the data.
    """

    def __init__(
        self,
        x,
        y=None,
        sample_weight=None,
        batch_size=None,
        steps_per_epoch=None,
        shuffle=False,
        class_weight=None,
        steps_per_execution=1,
        steps_name="steps_per_epoch",
    ):
        cap = config.max_steps_per_epoch()
        if cap and (not steps_per_epoch or cap < steps_per_epoch):
            warnings.warn(f"Limiting steps_per_epoch to {cap}", stacklevel=3)
            steps_per_epoch = cap
        if steps_per_epoch is not None:
            steps_per_epoch = checks.count(steps_per_epoch, steps_name, owner="keras")
        self.steps_per_epoch = steps_per_epoch
        self.steps_per_execution = steps_per_execution
        self.adapter = adapter_for(
            x, y, sample_weight, batch_size, steps_per_epoch, shuffle, class_weight
        )
        self._num_batches = self.adapter.num_batches
        self._batches = None
        self._taken = 0
        self._peeked = []

    @property
    def num_batches(self):
        """Steps in an epoch, None where that is not known yet."""
        return self.steps_per_epoch or self._num_batches

    def pack(self, data):
        """A batch as a model's `train_step` gets it."""
        return batches.pack(data, getattr(self.adapter, "alone_in_tuple", False))

    def peek(self):
        """The first batch, which the next epoch still gets."""
        if not self._peeked:
            self._batches = self._batches or iter(self.adapter)
            self._peeked.append(next(self._batches))
        return self._peeked[0]

    def restart(self):
        """Let the next epoch begin at the first batch, wherever the last one ended."""
        self._batches = None
        self._taken = 0
        self._peeked = []

    def __iter__(self):
        hook = getattr(self.adapter, "on_epoch_begin", None)
        if hook is not None:
            hook()
        carries_on = self.steps_per_epoch is not None or self._peeked
        if self._batches is None or not carries_on:
            self._batches = iter(self.adapter)
            self._taken = 0
        steps = self.steps_per_epoch or self._num_batches
        step = 0
        while steps is None or step < steps:
            # As in Keras, an execution is whole unless the data ends, also where `steps_per_epoch`
            # ends in the middle of it, and is named like a whole one where it is not.
            data = self._next(self.steps_per_execution)
            if data:
                yield step, step + self.steps_per_execution - 1, data
                step += len(data)
                self._taken += len(data)
            if len(data) < self.steps_per_execution:
                if steps is None or step < steps:
                    self._ran_out(step, steps)
                break
        if self.steps_per_epoch is None or self._taken == self._num_batches:
            self._batches = None
        hook = getattr(self.adapter, "on_epoch_end", None)
        if hook is not None:
            hook()

    def _next(self, count):
        data = []
        while len(data) < count:
            if self._peeked:
                data.append(self._peeked.pop())
                continue
            batch = next(self._batches, None)
            if batch is None:
                break
            data.append(batch)
        return data

    def _ran_out(self, step, steps):
        """Data ended before the epoch: known only now for generators, a surprise for others."""
        if self._num_batches is None and self.steps_per_epoch is None and step:
            self._num_batches = step
            return
        self._batches = None
        warnings.warn(
            "keras: the input ran out of data, which ends the training here. The data must give "
            f"`steps_per_epoch * epochs` batches. Received: {step} of the {steps} steps",
            stacklevel=4,
        )
