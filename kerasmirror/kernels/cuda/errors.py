"""What the driver answers, turned into errors that say what to do."""

from __future__ import annotations

_INSTALL = (
    "Install an NVIDIA driver of release 580 or later and `pip install 'kerasmirror[cuda]'`, or "
    "compute on the CPU: unset KERASMIRROR_DEVICE and name no GPU."
)


class DeviceMemoryError(MemoryError):
    """A GPU has not the memory that an array needs."""


def unavailable(reason, detail=None):
    """A RuntimeError for a GPU that cannot be used at all."""
    more = f" ({detail})" if detail else ""
    return RuntimeError(f"kerasmirror: no GPU can be used: {reason}{more}. {_INSTALL}")


def said(api, code):
    """The driver's own words for a result."""
    name = getattr(code, "name", str(int(code)))
    _, text = api.cuGetErrorString(code)
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    return f"{name}: {text}" if text else name


def failed(api, code, doing):
    """A RuntimeError for a call that failed."""
    return RuntimeError(f"kerasmirror: the GPU failed at {doing} ({said(api, code)}).")


def checked(api, result, doing):
    """The value in `(code, value)`, or None for `(code,)`.

    Raises: RuntimeError where the code is an error.
    """
    code, *values = result
    if int(code):
        raise failed(api, code, doing)
    return values[0] if values else None
