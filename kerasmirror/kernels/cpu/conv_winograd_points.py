"""The matrices of Winograd's algorithm F(m, r): m outputs of a window of r from m + r - 1 products.

Y = A [(G w) * (B d)] for d of m + r - 1 inputs. A polynomial of degree m + r - 2 is known by its
values at that many points and its leading coefficient ("infinity"): G and A^T evaluate polynomials
there, B^T is Lagrange's interpolation, and the exchange of roles of input and output (Tellegen's
principle) makes the product a correlation.

Source: Lavin and Gray 2016, https://arxiv.org/abs/1509.09308; that small points in pairs of
opposite signs round least, Barabasz et al. 2020, https://arxiv.org/abs/1803.10986.
"""

from fractions import Fraction

# Found by trying fractions of small powers of two on random images, for the passes forward and
# backward together. Float32 errors of six points are as a direct sum's: 1e-6 of the largest value
# forward, a third of what 0, 1, -1, 2, -2 give; in the gradient of the window, 3e-6, an eighth.
# Seven and eight points, which pairs with 1/4 and 1/2 serve best, stay within 1e-5. F(5, 5) and
# F(7, 3), of nine points, would have more than 1e-4.
_POINTS = {
    4: (0, 1),
    6: (0, Fraction(3, 4), Fraction(3, 2)),
    7: (Fraction(1, 4), Fraction(3, 4), 2),
    8: (0, Fraction(1, 2), 1, 2),
}


def matrices(m, r):
    """(B, G, A) of F(m, r), Fractions of shapes (n, n), (n, r) and (m, n), n = m + r - 1."""
    n = m + r - 1
    points = [Fraction(sign * p) for p in _POINTS[n] for sign in (1, -1) if p or sign > 0]
    b, g = [], []
    for p in points:
        others = [q for q in points if q != p]
        scale = Fraction(1)
        for q in others:
            scale *= p - q
        b.append((*_with_roots(others), Fraction(0)))
        g.append(tuple(p**k / scale for k in range(r)))
    b.append(_with_roots(points))
    g.append((Fraction(0),) * (r - 1) + (Fraction(1),))
    a = tuple((*(p**k for p in points), Fraction(k == m - 1)) for k in range(m))
    return tuple(b), tuple(g), a


def _with_roots(roots):
    """The coefficients, constant first, of the product of (x - root)."""
    product = (Fraction(1),)
    for root in roots:
        shifted = (Fraction(0), *product)
        product = tuple(
            high - root * low for high, low in zip(shifted, (*product, Fraction(0)), strict=True)
        )
    return product


def transposed(matrix):
    """The matrix with its rows as columns."""
    return tuple(zip(*matrix, strict=True))
