"""Decompositions of matrices, and what is solved by them; batches stand in the axes before.

The decompositions are LAPACK's, by NumPy. x' is the transpose of x, and the gradients follow
Giles, "An extended collection of matrix derivative results" (2008),
https://people.maths.ox.ac.uk/gilesm/files/NA-08-01.pdf, with TensorFlow's conventions.
"""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import dtypes
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.ops import shapes
from kerasmirror.ops.numpy import comparison, contraction, elementwise, reduction, shape
from kerasmirror.ops.tensor import float_tensor, to_tensor


def _matrix(x, owner, square=False):
    x = float_tensor(x)
    if x.dtype in ("float16", "bfloat16"):
        x = to_tensor(x, "float32")
    form = x.shape
    if len(form) < 2:
        raise ValueError(f"{owner}: Input should have rank >= 2. Received: x.shape={tuple(form)}")
    if square and form[-1] != form[-2]:
        raise ValueError(f"{owner}: `x` must hold square matrices. Received: x.shape={tuple(form)}")
    return x


def _turned(x):
    return x.swapaxes(-1, -2)


def _lower(x, offset=0):
    return np.tril(x, offset)


def _halved_diagonal(x):
    """The lower triangle with half of the diagonal."""
    x = np.tril(x)
    places = np.arange(x.shape[-1])
    x[..., places, places] *= x.dtype.type(0.5)
    return x


def _refuse(name, why):
    def backward(dy, needs):
        raise NotImplementedError(f"keras.ops.{name} has no gradient here: {why}.")

    return backward


# --- determinant and inverse ----------------------------------------------------------------


@primitive("det", spec=lambda x: (x.shape[:-2], x.dtype))
def _det(k, x):
    y = np.asarray(np.linalg.det(x))
    # d det(x) = det(x) trace(x^-1 dx)
    return y, lambda dy, needs: ((dy * y)[..., None, None] * _turned(np.linalg.inv(x)),)


@export("ops.det", "ops.linalg.det")
def det(x):
    """The determinants of square matrices."""
    return _det(_matrix(x, "keras.ops.det", square=True))


@_det.forward
def _det_tangent(k, inputs, changes, y):
    return y * _trace_of_solved(inputs[0], changes[0])


def _trace_of_solved(x, dx):
    """trace(x^-1 dx)"""
    return np.trace(np.linalg.solve(x, dx), axis1=-2, axis2=-1)


@primitive("slogdet", spec=lambda x: [(x.shape[:-2], x.dtype)] * 2)
def _slogdet(k, x):
    sign, log = (np.asarray(part) for part in np.linalg.slogdet(x))

    def backward(dys, needs):
        if dys[1] is None:
            return (None,)
        return (dys[1][..., None, None] * _turned(np.linalg.inv(x)),)

    return (sign, log), backward


@_slogdet.forward
def _slogdet_tangent(k, inputs, changes, y):
    return None, _trace_of_solved(inputs[0], changes[0])


@export("ops.slogdet", "ops.numpy.slogdet")
def slogdet(x):
    """The sign of the determinant, and the logarithm of its absolute value."""
    return _slogdet(_matrix(x, "keras.ops.slogdet", square=True))


@export("ops.logdet")
def logdet(x):
    """`log(det(x))` of positive definite matrices."""
    factor = _cholesky(_matrix(x, "keras.ops.logdet", square=True))
    diagonal = contraction.einsum("...ii->...i", factor)
    return elementwise.multiply(reduction.sum(elementwise.log(diagonal), -1), 2.0)


@primitive("inv", spec=shapes.same)
def _inv(k, x):
    y = _solved(lambda: np.linalg.inv(x), "inv", x)
    # d(x^-1) = -x^-1 dx x^-1
    return y, lambda dy, needs: (-k.matmul(k.matmul(_turned(y), dy), _turned(y)),)


@_inv.forward
def _inv_tangent(k, inputs, changes, y):
    return -k.matmul(k.matmul(y, changes[0]), y)


def _solved(run, name, x):
    try:
        return run()
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"keras.ops.{name}: the decomposition failed: {error}. Received: x.shape={x.shape}"
        ) from None


@export("ops.inv", "ops.linalg.inv")
def inv(x):
    """The inverses of square matrices. Raises: ValueError for a singular one."""
    return _inv(_matrix(x, "keras.ops.inv", square=True))


# --- systems of equations -------------------------------------------------------------------


@primitive("solve", spec=lambda a, b, *, half: (b.shape, b.dtype))
def _solve(k, a, b, *, half):
    # half: "lower" or "upper", the triangle of a that counts, or None
    keep = {"lower": np.tril, "upper": np.triu, None: np.asarray}[half]
    matrix = keep(a)
    x = _solved(lambda: np.linalg.solve(matrix, b), "solve", a)

    def backward(dx, needs):
        db = np.linalg.solve(_turned(matrix), dx)
        return keep(-k.matmul(db, _turned(x))) if needs[0] else None, db

    return x, backward


@_solve.forward
def _solve_tangent(k, inputs, changes, y, *, half):
    # a x = b: a dx = db - da x
    (a, b), (da, db) = inputs, changes
    keep = {"lower": np.tril, "upper": np.triu, None: np.asarray}[half]
    right = np.zeros_like(b) if db is None else db
    if da is not None:
        right = right - k.matmul(keep(da), y)
    return np.linalg.solve(keep(a), right)


def _system(a, b, half, owner):
    a, b = _matrix(a, owner, square=True), float_tensor(b)
    dtype = dtypes.result_type(a.dtype, b.dtype)
    a, b = to_tensor(a, dtype), to_tensor(b, dtype)
    vector = len(b.shape) == len(a.shape) - 1
    rows = b.shape[-1] if vector else b.shape[-2] if len(b.shape) > 1 else None
    if len(b.shape) not in (len(a.shape), len(a.shape) - 1) or rows != a.shape[-1]:
        raise ValueError(
            f"{owner}: `b` must have the rows of `a`. "
            f"Received: a.shape={tuple(a.shape)}, b.shape={tuple(b.shape)}"
        )
    if vector:
        return shape.squeeze(_solve(a, shape.expand_dims(b, -1), half=half), -1)
    return _solve(a, b, half=half)


@export("ops.solve", "ops.linalg.solve")
def solve(a, b):
    """x with `a x = b`, for columns or one vector b. Raises: ValueError for a singular a."""
    return _system(a, b, None, "keras.ops.solve")


@export("ops.solve_triangular", "ops.linalg.solve_triangular")
def solve_triangular(a, b, lower=False):
    """x with `a x = b`, of which only the upper (or lower) triangle of a counts."""
    return _system(a, b, "lower" if lower else "upper", "keras.ops.solve_triangular")


@export("ops.lstsq", "ops.linalg.lstsq")
def lstsq(a, b, rcond=None):
    """x of least length among those with the least `|a x - b|`.

    Singular values below `rcond` times the largest count as 0.
    Raises: ValueError when a and b differ in rows, TypeError for more axes.
    """
    a, b = _matrix(a, "keras.ops.lstsq"), float_tensor(b)
    if len(a.shape) != 2 or len(b.shape) not in (1, 2):
        raise TypeError(
            "keras.ops.lstsq: `a` must have two axes, `b` one or two. "
            f"Received: a.shape={tuple(a.shape)}, b.shape={tuple(b.shape)}"
        )
    if a.shape[0] != b.shape[0]:
        raise ValueError(
            "keras.ops.lstsq: `a` and `b` must have one number of rows. "
            f"Received: a.shape={tuple(a.shape)}, b.shape={tuple(b.shape)}"
        )
    if rcond is None:
        rcond = float(np.finfo(a.dtype).eps) * max(a.shape)
    return contraction.matmul(_pseudo_inverse(a, rcond), b)


def _pseudo_inverse(x, rcond):
    u, s, vh = svd(x, full_matrices=False)
    limit = elementwise.multiply(reduction.max(s, -1, keepdims=True), rcond)
    large = comparison.greater(s, limit)
    inverse = elementwise.select_by(large, elementwise.reciprocal(_or_one(s, large)), 0.0)
    columns = elementwise.multiply(shape.swapaxes(vh, -1, -2), shape.expand_dims(inverse, -2))
    return contraction.matmul(columns, shape.swapaxes(u, -1, -2))


def _or_one(s, large):
    return elementwise.select_by(large, s, 1.0)


@export("ops.pinv", "ops.linalg.pinv")
def pinv(x, rcond=None):
    """The pseudo-inverse; singular values up to `rcond` times the largest count as 0."""
    x = _matrix(x, "keras.ops.pinv")
    if rcond is None:
        rcond = 10 * max(x.shape[-2:]) * float(np.finfo(x.dtype).eps)
    return _pseudo_inverse(x, rcond)


@export("ops.matrix_rank", "ops.linalg.matrix_rank")
def matrix_rank(x, tol=None):
    """How many singular values exceed `tol` (int32)."""
    x = _matrix(x, "keras.ops.matrix_rank")
    s = singular_values(x)
    if tol is None:
        scale = max(x.shape[-2:]) * float(np.finfo(x.dtype).eps)
        tol = elementwise.multiply(reduction.max(s, -1, keepdims=True), scale)
    return reduction.count_nonzero(comparison.greater(s, tol), -1)


# --- decompositions -------------------------------------------------------------------------


@primitive("cholesky", spec=shapes.same)
def _cholesky(k, x):
    y = _solved(lambda: np.linalg.cholesky(x), "cholesky", x)

    def backward(dy, needs):
        # dx = y'^-1 P(y' dy) y^-1, P the lower triangle with half the diagonal; symmetric
        inside = _halved_diagonal(k.matmul(_turned(y), np.tril(dy)))
        inverse = np.linalg.inv(y)
        dx = k.matmul(k.matmul(_turned(inverse), inside), inverse)
        return ((dx + _turned(dx)) * dx.dtype.type(0.5),)

    return y, backward


@_cholesky.forward
def _cholesky_tangent(k, inputs, changes, y):
    # dy = y P(y^-1 dx y'^-1), with dx made symmetric
    inverse = np.linalg.inv(y)
    dx = (changes[0] + _turned(changes[0])) * y.dtype.type(0.5)
    return k.matmul(y, _halved_diagonal(k.matmul(k.matmul(inverse, dx), _turned(inverse))))


@export("ops.cholesky", "ops.linalg.cholesky")
def cholesky(x, upper=False):
    """The lower triangle y with `y y' = x` (or the upper, `y' y = x`) of positive definite x.

    Raises: ValueError for matrices that are not positive definite.
    """
    y = _cholesky(_matrix(x, "keras.ops.cholesky", square=True))
    return shape.swapaxes(y, -1, -2) if upper else y


@export("ops.cholesky_inverse", "ops.linalg.cholesky_inverse")
def cholesky_inverse(x, upper=False):
    """The inverse of the matrix whose Cholesky factor is `x`."""
    x = _matrix(x, "keras.ops.cholesky_inverse", square=True)
    if isinstance(x, KerasTensor):
        return KerasTensor(x.shape, x.dtype)
    identity = to_tensor(np.broadcast_to(np.eye(x.shape[-1]), x.shape), x.dtype)
    inverse = solve_triangular(x, identity, lower=not upper)
    turned = shape.swapaxes(inverse, -1, -2)
    return contraction.matmul(*((inverse, turned) if upper else (turned, inverse)))


def _qr_spec(x, *, mode):
    rows, columns = x.shape[-2:]
    size = rows if mode == "complete" else min(rows, columns)
    front = x.shape[:-2]
    return [((*front, rows, size), x.dtype), ((*front, size, columns), x.dtype)]


_QR_WHY = "R must be square, use mode='reduced' on tall matrices"


@primitive("qr", spec=_qr_spec)
def _qr(k, x, *, mode):
    q, r = np.linalg.qr(x, mode)
    if r.shape[-2] != r.shape[-1]:
        return (q, r), _refuse("qr", _QR_WHY)

    def backward(dys, needs):
        # dx = (dq + q C(r dr' - dq' q)) r'^-1, C copies the lower triangle to the upper
        dq = np.zeros_like(q) if dys[0] is None else dys[0]
        dr = np.zeros_like(r) if dys[1] is None else dys[1]
        m = k.matmul(r, _turned(dr)) - k.matmul(_turned(dq), q)
        copied = _lower(m) + _turned(_lower(m, -1))
        right = dq + k.matmul(q, copied)
        return (_turned(np.linalg.solve(r, _turned(right))),)

    return (q, r), backward


@_qr.forward
def _qr_tangent(k, inputs, changes, y, *, mode):
    # With s = q' dx r^-1 and w = tril(s) - tril(s)', without the diagonal: dq = q w + what dx r^-1
    # has outside of q's columns, dr = (s - w) r.
    q, r = y
    if r.shape[-2] != r.shape[-1]:
        _refuse("qr", _QR_WHY)(None, None)
    right = _turned(np.linalg.solve(_turned(r), _turned(changes[0])))
    s = k.matmul(_turned(q), right)
    w = _lower(s, -1) - _turned(_lower(s, -1))
    dq = k.matmul(q, w) + (right - k.matmul(q, s))
    return dq, k.matmul(s - w, r)


@export("ops.qr", "ops.linalg.qr")
def qr(x, mode="reduced"):
    """Orthonormal q and upper triangular r with `q r = x`; "complete": q is square."""
    if mode not in ("reduced", "complete"):
        raise ValueError(
            "keras.ops.qr: `mode` argument value not supported. "
            f"Expected one of {{'reduced', 'complete'}}. Received: mode={mode}"
        )
    x = _matrix(x, "keras.ops.qr")
    if None in x.shape[-2:]:
        raise ValueError(
            "keras.ops.qr: Input should have its last 2 dimensions fully-defined. "
            f"Received: x.shape={tuple(x.shape)}"
        )
    return _qr(x, mode=mode)


@primitive("eigh", spec=lambda x: [(x.shape[:-1], x.dtype), (x.shape, x.dtype)])
def _eigh(k, x):
    w, v = np.linalg.eigh(x)

    def backward(dys, needs):
        # dx = v (diag(dw) + F * (v' dv)) v', F_ij = 1 / (w_j - w_i); only the lower triangle is
        # read, so it gets the gradient of both
        inside = np.zeros_like(x)
        places = np.arange(w.shape[-1])
        if dys[1] is not None:
            apart = w[..., None, :] - w[..., :, None]
            apart[..., places, places] = 1
            inside = k.matmul(_turned(v), dys[1]) / apart
        inside[..., places, places] = 0 if dys[0] is None else dys[0]
        dx = k.matmul(k.matmul(v, inside), _turned(v))
        return (_halved_diagonal(dx + _turned(dx)),)

    return (w, v), backward


@_eigh.forward
def _eigh_tangent(k, inputs, changes, y):
    # dw = diag(p), dv = v (F * p) with p = v' dx v, of the lower triangle of dx
    w, v = y
    dx = np.tril(changes[0]) + _turned(np.tril(changes[0], -1))
    p = k.matmul(k.matmul(_turned(v), dx), v)
    places = np.arange(w.shape[-1])
    apart = w[..., None, :] - w[..., :, None]
    apart[..., places, places] = 1
    turned = p / apart
    turned[..., places, places] = 0
    return p[..., places, places], k.matmul(v, turned)


@export("ops.eigh", "ops.linalg.eigh")
def eigh(x):
    """Eigenvalues, ascending, and eigenvectors (columns) of symmetric matrices."""
    return _eigh(_matrix(x, "keras.ops.eigh", square=True))


_COMPLEX = {"float32": "complex64", "float64": "complex128"}


_EIG_WHY = "it would be complex; use eigh for symmetric matrices"


@primitive(
    "eig",
    spec=lambda x: [(x.shape[:-1], _COMPLEX[x.dtype]), (x.shape, _COMPLEX[x.dtype])],
    tangent=tangents.refused(_EIG_WHY),
)
def _eig(k, x):
    w, v = np.linalg.eig(x)
    dtype = _COMPLEX[x.dtype.name]
    return (w.astype(dtype), v.astype(dtype)), _refuse("eig", _EIG_WHY)


@export("ops.eig", "ops.linalg.eig")
def eig(x):
    """Complex eigenvalues and eigenvectors (columns) of square matrices; no gradient."""
    return _eig(_matrix(x, "keras.ops.eig", square=True))


def _lu_spec(x):
    size = None if None in x.shape[-2:] else min(x.shape[-2:])
    return [(x.shape, x.dtype), ((*x.shape[:-2], size), "int32")]


_LU_WHY = "use solve, inv or det"


@primitive("lu_factor", spec=_lu_spec, tangent=tangents.refused(_LU_WHY))
def _lu_factor(k, x):
    stack = np.array(x).reshape(-1, *x.shape[-2:])
    rows, columns = x.shape[-2:]
    places = np.tile(np.arange(rows), (len(stack), 1))
    for matrix, order in zip(stack, places, strict=True):
        for i in range(min(rows, columns)):
            best = i + int(np.argmax(np.abs(matrix[i:, i])))
            if best != i:
                matrix[[i, best]], order[[i, best]] = matrix[[best, i]], order[[best, i]]
            if matrix[i, i] != 0:
                matrix[i + 1 :, i] /= matrix[i, i]
                matrix[i + 1 :, i + 1 :] -= np.outer(matrix[i + 1 :, i], matrix[i, i + 1 :])
    back = np.argsort(places, axis=-1).astype("int32").reshape(*x.shape[:-2], rows)
    return (stack.reshape(x.shape), back), _refuse("lu_factor", _LU_WHY)


@export("ops.lu_factor", "ops.linalg.lu_factor")
def lu_factor(x):
    """L and U in one matrix, and where each row of `x` went: `x[i] = (L U)[p[i]]`.

    L is below the diagonal, with ones on it; rows are exchanged for the largest pivot.
    """
    return _lu_factor(_matrix(x, "keras.ops.lu_factor"))


def _svd_spec(x, *, full):
    rows, columns = x.shape[-2:]
    size, front = min(rows, columns), x.shape[:-2]
    return [
        ((*front, rows, rows if full else size), x.dtype),
        ((*front, size), x.dtype),
        ((*front, columns if full else size, columns), x.dtype),
    ]


@primitive("svd", spec=_svd_spec)
def _svd(k, x, *, full):
    u, s, vh = np.linalg.svd(x, full_matrices=full)
    rows, columns = x.shape[-2:]

    def backward(dys, needs):
        du, ds, dvh = dys
        if full and rows != columns and (du is not None or dvh is not None):
            raise NotImplementedError(
                "keras.ops.svd: the vectors have a gradient with full_matrices=False only, "
                f"unless matrices are square. Received: x.shape={x.shape}"
            )
        size = s.shape[-1]
        left, right = u[..., :size], vh[..., :size, :]
        # x = u s v': dx = u (W_u s + s W_v + diag(ds)) v' with W_u = skew(u' du) / E,
        # E_ij = s_j^2 - s_i^2, and what du and dv have outside the spaces of u and v
        inside = np.zeros((*s.shape, size), x.dtype)
        places = np.arange(size)
        squares = s * s
        gaps = squares[..., None, :] - squares[..., :, None]
        gaps[..., places, places] = 1
        if du is not None:
            m = k.matmul(_turned(left), du)
            inside += (m - _turned(m)) / gaps * s[..., None, :]
        if dvh is not None:
            m = k.matmul(right, _turned(dvh))
            inside += s[..., :, None] * ((m - _turned(m)) / gaps)
        if ds is not None:
            inside[..., places, places] += ds
        dx = k.matmul(k.matmul(left, inside), right)
        if du is not None and rows > size:
            outside = du - k.matmul(left, k.matmul(_turned(left), du))
            dx += k.matmul(outside / s[..., None, :], right)
        if dvh is not None and columns > size:
            outside = dvh - k.matmul(k.matmul(dvh, _turned(right)), right)
            dx += k.matmul(left, outside / s[..., :, None])
        return (dx,)

    return (u, s, vh), backward


_SVD_WHY = "of full matrices, unless they are square; use full_matrices=False"


@_svd.forward
def _svd_tangent(k, inputs, changes, y, *, full):
    # p = u' dx v: ds = diag(p), du = u (F * (p s + s p')) and dv = v (F * (s p + p' s)), and what
    # dx v / s and dx' u / s have outside of the spaces of u and v
    (u, s, vh), (dx,) = y, changes
    if full and dx.shape[-1] != dx.shape[-2]:
        _refuse("svd", _SVD_WHY)(None, None)
    v, places = _turned(vh), np.arange(s.shape[-1])
    p = k.matmul(k.matmul(_turned(u), dx), v)
    squares = s * s
    gaps = squares[..., None, :] - squares[..., :, None]
    gaps[..., places, places] = 1
    columns, rows = s[..., None, :], s[..., :, None]
    left = (p * columns + rows * _turned(p)) / gaps
    right = (rows * p + _turned(p) * columns) / gaps
    left[..., places, places] = right[..., places, places] = 0
    du, dv = k.matmul(u, left), k.matmul(v, right)
    over, under = k.matmul(dx, v) / columns, k.matmul(_turned(dx), u) / columns
    du += over - k.matmul(u, k.matmul(_turned(u), over))
    dv += under - k.matmul(v, k.matmul(vh, under))
    return du, p[..., places, places], _turned(dv)


@export("ops.svd", "ops.linalg.svd")
def svd(x, full_matrices=True, compute_uv=True):
    """u, s, v' with `x = u diag(s) v'` and descending s; without `compute_uv` only s."""
    x = _matrix(x, "keras.ops.svd")
    return _svd(x, full=bool(full_matrices)) if compute_uv else singular_values(x)


def _singular_spec(x):
    rows, columns = x.shape[-2:]
    size = None if rows is None or columns is None else min(rows, columns)
    return (*x.shape[:-2], size), x.dtype


@primitive("singular_values", spec=_singular_spec)
def singular_values(k, x):
    """The singular values alone, descending."""
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    # d s_i = u_i' dx v_i
    return s, lambda dy, needs: (k.matmul(u * dy[..., None, :], vh),)


@singular_values.forward
def _singular_values_tangent(k, inputs, changes, y):
    u, _, vh = np.linalg.svd(inputs[0], full_matrices=False)
    return np.einsum("...ia,...ij,...aj->...a", u, changes[0], vh)
