"""Flat parameters: many small variables become one array, so an update is one kernel call.

The variables of one dtype move into one buffer, each at a multiple of 64 bytes. A block is a run of
that buffer which is updated at once: all small variables share one, a large one has its own,
because its gradient can then be read where the tape left it instead of being copied first.
"""

from __future__ import annotations

import math

import numpy as np

from kerasmirror.core.device import address_of, host, kernels_at, overwrite, view_of
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable

# From this many elements a variable is a block of its own: copying its gradient costs more than
# the second kernel call.
LARGE = 1 << 15
_ALIGNMENT = 64  # bytes


class Block(Variable):
    """Some variables, seen as one flat variable: `data` is 1-D, float32 or float64.

    `variables` are its members, `positions` their places in the list of gradients, `views` their
    parts of `data`. `slots` are the blocks of the optimizer's own variables, in the order in which
    they were added; `average` and `accumulator` those of the moving average and of accumulated
    gradients. Variables in half precision are computed in float32: `data` is then a working copy,
    which `pull` fills and `push` writes back.
    """

    def __init__(self, variables, positions, data, views):
        # Not Variable.__init__: a block has no values of its own.
        self._name = self._path = "+".join(variable.path for variable in variables)
        self._dtype = str(data.dtype)
        self._trainable = self._autocast = self.watched = False
        self._regularizer = self._constraint = None
        self._aggregation, self._synchronization, self._layout = "none", "auto", None
        self._overwrite_with_gradient = False
        self.key = None
        self.data = data
        self.variables = variables
        self.positions = positions
        self.views = views
        self.is_copy = any(variable.data.dtype != data.dtype for variable in variables)
        self.slots = []
        self.average = self.accumulator = None
        self.gradient = Tensor(None)
        self._buffer = self._gradient_views = None

    @classmethod
    def around(cls, variable, position=0):
        """The block of one variable, where it is."""
        dtype = working_dtype(variable)
        same = variable.data.dtype == dtype
        data = variable.data if same else variable.data.astype(dtype)
        return cls([variable], [position], data.reshape(-1), [data])

    def load(self, gradients, own):
        """Make `gradient` of the members' gradients; with `own` it may be written to."""
        if len(self.views) == 1 and not own:
            gradient = gradients[self.positions[0]]
            if gradient.dtype == self.data.dtype and gradient.flags.c_contiguous:
                self._check(gradient, 0)
                self.gradient.data = gradient.reshape(-1)
                return
        if self._buffer is None:
            self._buffer = kernels_at(self.data).zeros(self.data.shape, self.data.dtype)
            self._gradient_views = _views(self._buffer, self.data, self.views)
        for number, view in enumerate(self._gradient_views):
            gradient = gradients[self.positions[number]]
            if gradient.shape != view.shape:
                self._check(gradient, number)
            overwrite(view, gradient)
        self.gradient.data = self._buffer

    def _check(self, gradient, number):
        variable = self.variables[number]
        if gradient.shape != variable.shape:
            raise ValueError(
                f"keras.Optimizer.apply: each gradient must have its variable's shape "
                f"{variable.shape}. Received: a gradient of shape {gradient.shape} "
                f"for variable {variable.path!r}"
            )

    def gradient_parts(self):
        """The gradient of each member."""
        return _views(self.gradient.data, self.data, self.views)

    def release(self):
        """Let go of a gradient that belongs to the caller."""
        self.gradient.data = None

    def companions(self):
        """The block itself and all blocks of the optimizer's variables beside it."""
        others = (self.average, self.accumulator)
        return [self, *self.slots, *(block for block in others if block is not None)]

    def pull(self):
        """Read the members' values, where `data` is a copy of them."""
        for block in self.companions():
            if block.is_copy:
                for view, variable in zip(block.views, block.variables, strict=True):
                    overwrite(view, variable.data)

    def push(self):
        """Write `data` back to the members, where it is a copy of them."""
        for block in self.companions():
            if block.is_copy:
                for view, variable in zip(block.views, block.variables, strict=True):
                    overwrite(variable.data, view)


class FlatParameters:
    """The blocks of a list of variables; building them moves the variables into flat buffers."""

    def __init__(self, variables):
        self.variables = variables
        layouts = {}
        for position, variable in enumerate(variables):
            if not variable.overwrite_with_gradient:
                key = (working_dtype(variable), variable.data.dtype)
                layouts.setdefault(key, []).append(position)
        self._layouts = list(layouts.items())
        self.blocks = self._make(variables, padding=0)
        self._moved = [
            (variable, view)
            for block in self.blocks
            if not block.is_copy
            for variable, view in zip(block.variables, block.views, strict=True)
        ]

    def add(self, variables):
        """The blocks of an optimizer's variables, one for each variable (None: left out)."""
        return self._make(variables, padding=None)

    def intact(self):
        """Whether all variables still are where they were put (another optimizer may move them)."""
        return all([variable.data is view for variable, view in self._moved])

    def _make(self, variables, padding):
        blocks = []
        for (dtype, _), positions in self._layouts:
            # Small ones first, so that they lie side by side.
            small = [p for p in positions if self.variables[p].data.size < LARGE]
            runs = [small] * bool(small) + [[p] for p in positions if p not in small]
            spans, total = _spans(runs, self.variables, dtype)
            k = kernels_at(self.variables[positions[0]].data)
            buffer = k.zeros((total,), dtype)
            for run, (start, stop, offsets) in zip(runs, spans, strict=True):
                members = [variables[p] for p in run]
                data = view_of(buffer, start, (stop - start,))
                views = [
                    _fill(data, offset, variable, padding)
                    for offset, variable in zip(offsets, members, strict=True)
                ]
                blocks.append(Block(members, run, data, views))
        return blocks


def working_dtype(variable):
    """The dtype an update is computed in: float32 for half precision."""
    return np.dtype("float64" if variable.data.dtype == np.float64 else "float32")


def _spans(runs, variables, dtype):
    """For each run of positions (start, stop, offsets of its members from start), and the end."""
    step = _ALIGNMENT // dtype.itemsize
    spans, end = [], 0
    for run in runs:
        offsets, start = [], end
        for position in run:
            offsets.append(end - start)
            size = variables[position].data.size
            stop = end + size
            end += math.ceil(size / step) * step
        # Nothing behind the last member: a gradient used where it is has the member's size.
        spans.append((start, stop, offsets))
    return spans, end


def _fill(data, offset, variable, padding):
    """Move `variable` to `data[offset:]`; returns its view."""
    size = variable.data.size
    view = view_of(data, offset, variable.shape)
    if variable.data.dtype == data.dtype:
        variable.move_to(view)
    else:
        overwrite(view, variable.data)
    if padding is None and size:
        # What fills a slot to the next 64 bytes starts as the slot does: no rule divides 0 by 0.
        step = _ALIGNMENT // data.itemsize
        stop = min(offset + math.ceil(size / step) * step, data.size)
        rest = view_of(data, offset + size, (stop - offset - size,))
        rest.fill(host(view).reshape(-1)[-1])
    return view


def _views(array, like, views):
    """Parts of `array` that lie in it as `views` lie in `like`."""
    start = address_of(like)
    parts = []
    for view in views:
        offset = (address_of(view) - start) // like.itemsize
        parts.append(view_of(array, offset, view.shape))
    return parts
