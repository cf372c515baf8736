"""Random numbers: `keras.random`. Same seed, same numbers as Keras on TensorFlow.

An int seed is the pair [seed, 0]; a SeedGenerator counts the second word up, one step a draw; no
seed means the global generator. uniform, randint, dropout, shuffle and categorical give
TensorFlow's values exactly, normal and truncated_normal to the last bits of log, sin and cos;
gamma, beta and binomial have the right distribution but other values.
Source: Keras 3.15 `keras.random`; ARCHITECTURE, section 6.
"""

from __future__ import annotations

import math
import random as python_random

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import kernels_of, primitive
from kerasmirror.core import checks, config, dtypes, seeds
from kerasmirror.core.device import CPU, contiguous, current_kernels, device, host
from kerasmirror.core.names import auto_name, on_clear_session
from kerasmirror.core.scopes import WRITES, in_symbolic_scope, name_scope
from kerasmirror.core.symbolic import KerasTensor, standardize_shape
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable
from kerasmirror.ops import shapes
from kerasmirror.ops.tensor import float_tensor, is_float, to_tensor

# TensorFlow takes seeds as int32; Keras brings its int64 ones there by this modulus.
_SEED_MODULUS = 2**31 - 2

_GLOBAL = {"generator": None}


# --- seeds ----------------------------------------------------------------------------------


@export("random.SeedGenerator")
class SeedGenerator:
    """A state from which each draw gets its own seed: `[seed, 0]`, `[seed, 1]`, ...

    Args: seed is an int, or None for a number from Python's `random`, drawn now.
    Attributes: `state`, an int64 variable of two words.
    Raises: ValueError for a seed that is no int.
    Source: Keras 3.15 `keras.random.SeedGenerator`.
    """

    def __init__(self, seed=None, name=None, **kwargs):
        self.name = auto_name(type(self).__name__) if name is None else name
        if kwargs:
            raise ValueError(
                f"SeedGenerator: Unrecognized keyword arguments. Received: {sorted(kwargs)}"
            )
        self._initial_seed = seed
        if seed is None:
            seed = make_default_seed()
        if not isinstance(seed, int):
            raise ValueError(
                "SeedGenerator: Argument `seed` must be an integer or None. "
                f"Received: seed={seed!r}"
            )
        # Seeds are numbers for the host, which gives them to kernels.
        with name_scope(self.name, caller=self), device(CPU):
            self.state = Variable(
                lambda shape, dtype: np.array([seed, 0], np.int64),
                shape=(2,),
                dtype="int64",
                trainable=False,
                name="seed_generator_state",
            )

    def next(self, ordered=True):
        """The next seed, a tensor of two int64 words.

        Without `ordered` both words jump about, so that generators with neighbouring seeds do not
        give the same seeds soon.
        """
        with seeds.drawing, device(CPU):
            seed = np.array(self.state.data)
            self.state.assign(seed + [0, 1] if ordered else (seed + 1) * 5387 % 933199)
            return Tensor(seed)

    def get_config(self):
        return {"seed": self._initial_seed, "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def make_default_seed():
    """The seed of what names none: from Python's `random`, so that `set_random_seed` fixes it."""
    return python_random.randint(1, int(1e9))


def global_seed_generator():
    """The generator behind draws without a seed; made when first needed."""
    generator = _GLOBAL["generator"]
    if generator is None:
        generator = _GLOBAL["generator"] = SeedGenerator()
    return generator


@on_clear_session
@seeds.on_new_seed
def forget_global_seed_generator(seed=None):
    """Let the next draw without a seed make a new global generator."""
    _GLOBAL["generator"] = None


def draw_seed(seed):
    """A tensor of two int64 words for an int, a SeedGenerator (one step on) or None.

    Raises: ValueError for anything else.
    """
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if isinstance(seed, int):
        return Tensor(np.array([seed, 0], np.int64))
    if seed is None:
        return global_seed_generator().next(ordered=False)
    raise ValueError(
        "keras.random: `seed` must be an int, a SeedGenerator or None. "
        f"Received: seed={seed!r} (of type {type(seed)})"
    )


def seed_pair(seed):
    """The two ints that the kernels take, drawn from `seed` as `draw_seed` does."""
    if type(seed) is SeedGenerator:
        with seeds.drawing:
            if WRITES.observer is not None:
                WRITES.observer.before_write(seed.state)
            state = seed.state.data  # as `next` does, in a fifth of its time
            s0, s1 = state.tolist()
            state[1] = s1 + 1
    else:
        s0, s1 = draw_seed(seed).data.tolist()
    return s0 % _SEED_MODULUS, s1 % _SEED_MODULUS


# --- continuous distributions ---------------------------------------------------------------


@export("random.uniform")
def uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
    """Uniform on [minval, maxval). Raises: ValueError for a dtype that is not floating point."""
    dtype = _float_dtype(dtype, "random.uniform")
    shape = _known_shape(shape, "random.uniform")
    if None in shape:
        return KerasTensor(shape, dtype)
    pair = seed_pair(seed)
    # TensorFlow reads Python floats as float32 before they become `dtype`, float64 too.
    low, high = float(np.float32(minval)), float(np.float32(maxval))
    return Tensor(current_kernels().uniform(shape, pair, dtype, low, high))


@export("random.normal")
def normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Normally distributed. Raises: ValueError for a dtype that is not floating point.

    Source: Box and Muller 1958, https://doi.org/10.1214/aoms/1177706645.
    """
    dtype = _float_dtype(dtype, "random.normal")
    shape = _known_shape(shape, "random.normal")
    if None in shape:
        return KerasTensor(shape, dtype)
    pair = seed_pair(seed)
    return Tensor(current_kernels().normal(shape, pair, dtype, float(mean), float(stddev)))


@export("random.truncated_normal")
def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Normally distributed, without values two deviations or more away from the mean."""
    dtype = _float_dtype(dtype, "random.truncated_normal")
    shape = _known_shape(shape, "random.truncated_normal")
    if None in shape:
        return KerasTensor(shape, dtype)
    pair = seed_pair(seed)
    k = current_kernels()
    return Tensor(k.truncated_normal(shape, pair, dtype, float(mean), float(stddev)))


@export("random.gamma")
def gamma(shape, alpha, dtype=None, seed=None):
    """Gamma distributed with shape parameter `alpha` (a positive number or array) and scale 1."""
    dtype = _float_dtype(dtype, "random.gamma")
    alpha = _positive(alpha, "alpha", "random.gamma")
    return _drawn("standard_gamma", (alpha,), shape, dtype, "random.gamma", seed)


@export("random.beta")
def beta(shape, alpha, beta, dtype=None, seed=None):
    """Beta distributed with parameters `alpha` and `beta`, positive numbers or arrays."""
    dtype = _float_dtype(dtype, "random.beta")
    a = _positive(alpha, "alpha", "random.beta")
    b = _positive(beta, "beta", "random.beta")
    return _drawn("beta", (a, b), shape, dtype, "random.beta", seed)


@export("random.binomial")
def binomial(shape, counts, probabilities, dtype=None, seed=None):
    """Successes among `counts` trials, each with its probability; numbers or arrays.

    Raises: ValueError for negative counts or probabilities outside [0, 1].
    """
    owner = "random.binomial"
    dtype = _float_dtype(dtype, owner)
    counts = host(to_tensor(counts).data).astype(np.int64)
    p = host(to_tensor(probabilities).data).astype(np.float64)
    if (counts < 0).any():
        checks.fail(owner, "counts", "numbers of at least 0", counts)
    if not ((p >= 0) & (p <= 1)).all():
        checks.fail(owner, "probabilities", "numbers from 0 to 1", p)
    return _drawn("binomial", (counts, p), shape, dtype, owner, seed)


# --- whole numbers --------------------------------------------------------------------------


@export("random.randint")
def randint(shape, minval, maxval, dtype="int32", seed=None):
    """Whole numbers, uniform on [minval, maxval).

    Raises: ValueError for a dtype that is not an integer one, or an empty range.
    """
    owner = "random.randint"
    name = dtypes.standardize_dtype(dtype)
    if not dtypes.is_int_dtype(name):
        raise ValueError(f"`keras.{owner}` requires an integer `dtype`. Received: dtype={dtype!r}")
    low, high = int(minval), int(maxval)
    if low >= high:
        raise ValueError(
            f"{owner}: `minval` must be less than `maxval`. Received: minval={low}, maxval={high}"
        )
    wide = np.dtype(name if name in ("int32", "int64") else "int64")
    shape = _known_shape(shape, owner)
    if None in shape:
        return KerasTensor(shape, name)
    y = kernels_of("cpu").random_integers(shape, seed_pair(seed), low, high, wide)
    return Tensor(y.astype(dtypes.numpy_dtype(name), copy=False))


@export("random.categorical")
def categorical(logits, num_samples, dtype="int32", seed=None):
    """`num_samples` class numbers for each row of unnormalized log-probabilities.

    Shapes: logits (N, K), result (N, num_samples). For large N, TensorFlow's numbers depend on how
    it shares rows out among threads; these are the ones of a single thread.
    Raises: ValueError for logits without two axes.
    """
    owner = "random.categorical"
    logits = to_tensor(logits)
    if len(logits.shape) != 2:
        raise ValueError(
            f"{owner}: `logits` must have shape (batch, classes). "
            f"Received: logits.shape={tuple(logits.shape)}"
        )
    name = dtypes.standardize_dtype(dtype)
    if isinstance(logits, KerasTensor):
        return KerasTensor((logits.shape[0], num_samples), name)
    rows, classes = logits.shape
    x = host(logits.data).astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        top = np.max(np.where(np.isfinite(x), x, -np.inf), axis=1, keepdims=True, initial=-np.inf)
        sums = np.cumsum(np.where(np.isfinite(x), np.exp(x - top), 0.0), axis=1)
    k = kernels_of("cpu")
    pair = seed_pair(seed)
    y = np.empty((rows, num_samples), np.int64)
    unit = k.uniform((rows, num_samples), pair, np.float64)
    for row in range(rows):
        total = sums[row, -1] if classes else 0.0
        y[row] = np.searchsorted(sums[row], unit[row] * total, side="right")
    return Tensor(y.astype(dtypes.numpy_dtype(name), copy=False))


# --- on tensors -----------------------------------------------------------------------------


@export("random.dropout")
def dropout(inputs, rate, noise_shape=None, seed=None):
    """`inputs / (1 - rate)` with the part `rate` of all elements set to 0, drawn anew each time.

    `noise_shape` draws one value for each place of that shape (None: inputs' size), broadcast.
    Raises: ValueError for a rate outside [0, 1], whole-number inputs or a shape that does not fit.
    Source: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html.
    """
    owner = "random.dropout"
    x = to_tensor(inputs)
    rate = checks.real_in(rate, 0, 1, "rate", owner=owner, expected="a number from 0 to 1")
    if rate == 0:
        return x
    if not is_float(x):
        raise ValueError(f"{owner}: `inputs` must be floating point. Received: dtype={x.dtype}")
    if isinstance(x, KerasTensor):
        return KerasTensor(x.shape, x.dtype)
    pair = seed_pair(seed) if rate < 1 else None
    return _dropout(x, pair=pair, rate=float(rate), noise_shape=_noise_shape(noise_shape, x, owner))


def _noise_shape(noise_shape, x, owner):
    if noise_shape is None:
        return None
    good = len(noise_shape) == len(x.shape)
    full = tuple(
        n if size is None else int(size) for size, n in zip(noise_shape, x.shape, strict=False)
    )
    if not good or any(size not in (1, n) for size, n in zip(full, x.shape, strict=True)):
        checks.fail(owner, "noise_shape", f"broadcastable to {tuple(x.shape)}", noise_shape)
    return full


@primitive("dropout", spec=shapes.same, tangent=tangents.linear)
def _dropout(k, x, *, pair, rate, noise_shape):
    def backward(dy, needs):
        # Linear in x, with the mask that the same seed gives again: nothing is kept.
        return (k.dropout(contiguous(dy), pair, rate, noise_shape),)

    return k.dropout(x, pair, rate, noise_shape), backward


@export("random.shuffle")
def shuffle(x, axis=0, seed=None):
    """x with its places along `axis` in random order, the order of as many uniform draws."""
    x = to_tensor(x)
    axis = shapes.canonical_axis(axis, len(x.shape), "random.shuffle")
    if isinstance(x, KerasTensor):
        return KerasTensor(x.shape, x.dtype)
    keys = kernels_of("cpu").uniform((x.shape[axis],), seed_pair(seed), np.float32)
    return _taken(x, order=np.argsort(keys, kind="stable"), axis=axis)


@primitive("shuffle", spec=shapes.same, tangent=tangents.linear)
def _taken(k, x, *, order, axis):
    def backward(dy, needs):
        return (k.take(dy, np.argsort(order), axis),)

    return k.take(x, order, axis), backward


# --- checks ---------------------------------------------------------------------------------


def _float_dtype(dtype, owner):
    name = dtypes.standardize_dtype(dtype) if dtype else config.floatx()
    if not dtypes.is_float_dtype(name):
        raise ValueError(
            f"`keras.{owner}` requires a floating point `dtype`. Received: dtype={dtype!r}"
        )
    return dtypes.numpy_dtype(name)


def _known_shape(shape, owner):
    """`shape` as a tuple; sizes may be unknown where only the result's shape is looked for."""
    if isinstance(shape, (Tensor, np.ndarray)):
        shape = np.asarray(shape).tolist()
    shape = standardize_shape(shape, owner)
    if None in shape and not in_symbolic_scope():
        checks.fail(owner, "shape", "known in full", shape)
    return shape


def _positive(value, name, owner):
    array = host(float_tensor(value).data).astype(np.float64)
    if not (array > 0).all():
        checks.fail(owner, name, "greater than 0", array.tolist())
    return array


def _numpy_generator(seed):
    return np.random.Generator(np.random.Philox(key=np.array(seed_pair(seed), np.uint64)))


def _drawn(distribution, parameters, shape, dtype, owner, seed):
    shape = _known_shape(shape, owner)
    if None in shape:
        return KerasTensor(shape, dtype)
    draw = getattr(_numpy_generator(seed), distribution)
    try:
        parameters = [np.broadcast_to(p, shape) for p in parameters]
    except ValueError:
        raise ValueError(
            f"{owner}: the parameters must broadcast to `shape`. "
            f"Received: shape={shape}, parameters of shapes {[p.shape for p in parameters]}"
        ) from None
    if not math.prod(shape):
        return Tensor(np.zeros(shape, dtype))
    return Tensor(np.asarray(draw(*parameters)).astype(dtype).reshape(shape))
