"""One step of any optimizer on raw arrays: what happens to gradients and weights, in what order."""

from __future__ import annotations

import numpy as np

from kerasmirror.autodiff.tape import no_grad
from kerasmirror.core import config
from kerasmirror.core.device import kernels_at, overwrite
from kerasmirror.core.scopes import name_scope
from kerasmirror.core.tensor import Tensor
from kerasmirror.optimizers import clipping
from kerasmirror.optimizers.flat import Block


def apply_arrays(optimizer, gradients, variables):
    """Update `variables` with one gradient array each, which stays as it is."""
    own = bool(
        optimizer.loss_scale_factor
        or optimizer.gradient_accumulation_steps
        or optimizer.clipnorm
        or optimizer.clipvalue
        or optimizer.global_clipnorm
    )
    blocks = _blocks_of(optimizer, variables)
    for block in blocks:
        if block.is_copy:
            block.pull()
        block.load(gradients, own)
    if not own or _prepare(optimizer, blocks):
        rate = optimizer._current_rate()
        _apply_weight_decay(optimizer, blocks, rate)
        _update_blocks(optimizer, blocks, rate)
    for block in blocks:
        if block.is_copy:
            block.push()
        block.release()
    if optimizer.use_ema:
        _update_average(optimizer)


def _blocks_of(optimizer, variables):
    """The flat blocks for all variables where they were put, else a block for each of them."""
    flat = optimizer._flat
    if flat is not None and variables is optimizer._trainable_variables and flat.intact():
        return flat.blocks
    return [_block_around(optimizer, v, position) for position, v in enumerate(variables)]


def _block_around(optimizer, variable, position):
    block = Block.around(variable, position)
    index = optimizer._get_variable_index(variable)
    if optimizer._is_elementwise:
        block.slots = [Block.around(state[index]) for state in optimizer._slots]
    for role, variables in (
        ("average", optimizer._model_variables_moving_average),
        ("accumulator", optimizer._accumulated_gradients),
    ):
        if variables and variables[index] is not None:
            setattr(block, role, Block.around(variables[index]))
    return block


def _prepare(optimizer, blocks):
    """Unscale, accumulate and clip gradients; whether this call is to update."""
    k = kernels_at(blocks[0].data)
    steps = optimizer.gradient_accumulation_steps
    for block in blocks:
        gradient = block.gradient.data
        if optimizer.loss_scale_factor is not None:
            k.scale(gradient, 1.0 / optimizer.loss_scale_factor)
        if steps:
            k.axpy(block.accumulator.data, gradient, 1.0)
    if steps:
        if (int(optimizer._iterations.data) + 1) % steps:
            return False
        for block in blocks:
            overwrite(block.gradient.data, block.accumulator.data)
            k.scale(block.gradient.data, 1.0 / steps)
        _reset_accumulators(optimizer, blocks)
    clipping.clip(k, optimizer, blocks)
    return True


def _reset_accumulators(optimizer, blocks):
    for block in blocks:
        block.accumulator.data.fill(0)
    for variable, accumulator in zip(
        optimizer._trainable_variables, optimizer._accumulated_gradients, strict=True
    ):
        # Those that are overwritten have had their turn.
        if not variable.overwrite_with_gradient:
            accumulator.data.fill(0)


def _update_blocks(optimizer, blocks, rate):
    optimizer.before_update()
    if optimizer._is_elementwise:
        for block in blocks:
            optimizer.update_step(block.gradient, block, rate)
        return
    rate = Tensor(np.asarray(rate, config.floatx()))
    with no_grad(), name_scope(optimizer.name, caller=optimizer):
        for block in blocks:
            block.push()
            (variable,) = block.variables
            gradient = block.gradient.data.reshape(variable.shape)
            gradient = Tensor(gradient.astype(variable.data.dtype, copy=False))
            optimizer.update_step(gradient, variable, rate)
            block.pull()


def _apply_weight_decay(optimizer, blocks, rate):
    # w - w * decay * rate, not w * (1 - decay * rate): near 1, float32 has steps of 6e-8.
    axpy = kernels_at(blocks[0].data).axpy
    if not optimizer._decays_differ():
        if optimizer.weight_decay:
            for block in blocks:
                axpy(block.data, block.data, -optimizer.weight_decay * rate)
        return
    for block in blocks:
        for variable, view in zip(block.variables, block.views, strict=True):
            decay = optimizer._decay_of(variable)
            if decay:
                part = view.reshape(-1)
                axpy(part, part, -decay * rate)


def _update_average(optimizer):
    """average = momentum * average + (1 - momentum) * weights, for all variables."""
    step = optimizer.steps_done()
    momentum = optimizer.ema_momentum if step else 0.0
    for block in _blocks_of(optimizer, optimizer._trainable_variables):
        if block.average is not None:
            block.pull()
            kernels_at(block.data).lerp(block.average.data, block.data, momentum)
            block.push()
    frequency = optimizer.ema_overwrite_frequency
    if frequency and (step + 1) % frequency == 0:
        overwrite_with_average(optimizer, optimizer._trainable_variables)


def overwrite_with_average(optimizer, variables):
    """Write the moving averages into the variables."""
    averages = optimizer._model_variables_moving_average
    if len(variables) != len(averages):
        raise ValueError(
            f"{type(optimizer).__name__}.finalize_variable_values: `var_list` must hold the "
            f"{len(averages)} variables the optimizer was built with. "
            f"Received: {len(variables)} variables"
        )
    for variable, average in zip(variables, averages, strict=True):
        if average is not None:
            variable.assign(average)
