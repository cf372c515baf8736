"""Window functions by SciPy's names: weights that fall off towards both ends of a frame.

Source: Harris 1978, https://doi.org/10.1109/PROC.1978.10837; names as `scipy.signal.get_window`.
"""

from __future__ import annotations

import numpy as np

# sum over j of a_j cos(j phi), phi from -pi to pi.
_COSINE_SUMS = {
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.50, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
}


def _tukey(n):
    # Flat in the middle half, a cosine over a quarter at either end.
    edge = np.minimum(np.arange(n), np.arange(n)[::-1]) * 4 / (n - 1)
    return np.where(edge < 1, 0.5 * (1 - np.cos(np.pi * edge)), 1.0)


def _triang(n):
    half = np.arange(1, (n + 1) // 2 + 1)
    rise = half * 2 / (n + 1) if n % 2 else (2 * half - 1) / n
    return np.concatenate([rise, rise[::-1][n % 2 :]])


_OTHERS = {
    "boxcar": np.ones,
    "bartlett": np.bartlett,
    "triang": _triang,
    "tukey": _tukey,
    "cosine": lambda n: np.sin(np.pi / n * (np.arange(n) + 0.5)),
}
_SAME = {"hanning": "hann", "blackharr": "blackmanharris", "box": "boxcar", "rect": "boxcar"}


def window_function(name, size, periodic, owner):
    """The window called `name`, `size` float64 values: symmetric, or one period of it.

    Raises: ValueError for a name that is not known.
    """
    known = _SAME.get(name, name)
    if known not in _COSINE_SUMS and known not in _OTHERS:
        names = ", ".join(sorted((*_COSINE_SUMS, *_OTHERS)))
        raise ValueError(
            f"{owner}: `window` must be an array, None, or one of {names}. "
            f"Received: window={name!r}"
        )
    if size <= 1:
        return np.ones(size)
    n = size + 1 if periodic else size
    if known in _OTHERS:
        return _OTHERS[known](n)[:size]
    phi = np.linspace(-np.pi, np.pi, n)
    return sum(a * np.cos(j * phi) for j, a in enumerate(_COSINE_SUMS[known]))[:size]
