# Licensed under a 3-clause BSD style license - see LICENSE
"""Point spread function of an image, that may change over the field."""

from dataclasses import dataclass, replace

import numpy as np

from ..batch import HALF, OVERSAMPLING

__all__ = ["OFFSETS", "PSF", "SIDE", "full_width", "powers"]

#: Samples along a side of a point spread function.
SIDE = 2 * HALF * OVERSAMPLING + 1

#: Offsets of the samples from the star in pixels, shape ``(SIDE,)``.
OFFSETS = (np.arange(SIDE) - HALF * OVERSAMPLING) / OVERSAMPLING


def full_width(psf, oversampling=OVERSAMPLING):
    """Full width at half maximum in pixels of a circle with the area above half of the maximum.

    Parameters
    ----------
    psf : `~numpy.ndarray`
        Images of point spread functions, shape ``(..., ny, nx)``.
    oversampling : float
        Samples in a pixel along each axis.

    Returns
    -------
    fwhm : `~numpy.ndarray`
        Widths in pixels, shape ``(...)``.
    """
    peak = psf.max((-2, -1), keepdims=True)
    # Each sample above half of the maximum counts whole, those near it in part
    area = np.clip((psf / peak - 0.5) / 0.1 + 0.5, 0, 1).sum((-2, -1)) / oversampling**2
    return 2 * np.sqrt(area / np.pi)


def powers(degree):
    """Powers of x and y of the terms of a polynomial, x fastest as in PSFEx: 1, x, x^2, y, xy, y^2.

    Parameters
    ----------
    degree : int
        Degree of the polynomial.

    Returns
    -------
    powers : list of tuple
        Power of x and power of y.
    """
    return [(i, j) for j in range(degree + 1) for i in range(degree + 1 - j)]


@dataclass(frozen=True, kw_only=True)
class PSF:
    """Effective point spread function as a polynomial of the position.

    Parameters
    ----------
    terms : `~numpy.ndarray`
        Images that the polynomial's terms are multiplied with, in the order of `powers`, shape ``(n, SIDE,
        SIDE)``: share of the light that falls into a pixel at that offset from a star (Anderson & King 2000,
        PASP 112, 1360), sampled `~gammapy_asid.optical.batch.OVERSAMPLING` times a pixel. The first is
        normalised here, and the others with it.
    center, scale : tuple of float
        The polynomial is one of ``((x, y) - center) / scale``, in pixels.
    origin : str
        Where it is from, in words.
    n_stars : int
        Stars that it was measured on.
    fwhm_err : float, optional
        Standard error of `fwhm` in pixels; None where it is not known.
    cut : float
        Share of the light outside of the stamp, of what is known of it.
    """

    terms: np.ndarray
    center: tuple = (0.0, 0.0)
    scale: tuple = (1.0, 1.0)
    origin: str = "given"
    n_stars: int = 0
    fwhm_err: float | None = None
    cut: float = 0.0

    def __post_init__(self):
        terms = np.asarray(self.terms, dtype=float)
        if terms.ndim == 2:
            terms = terms[None]
        if terms.ndim != 3 or terms.shape[1:] != (SIDE, SIDE):
            raise ValueError(f"Terms of a PSF have the shape (n, {SIDE}, {SIDE}), got {terms.shape}")
        if len(terms) not in [len(powers(degree)) for degree in range(10)]:
            raise ValueError(f"{len(terms)} terms make no full polynomial in x and y")
        total = terms[0].sum()
        if not np.isfinite(terms).all() or total <= 0:
            raise ValueError("A PSF is finite and has a positive sum")
        object.__setattr__(self, "terms", (terms * (OVERSAMPLING**2 / total)).astype(np.float32))

    @property
    def degree(self):
        """Degree of the polynomial; 0 for one PSF in the whole field."""
        return next(degree for degree in range(10) if len(powers(degree)) == len(self.terms))

    @property
    def fwhm(self):
        """Full width at half maximum in pixels in the middle of the field."""
        return float(full_width(self.terms[0]))

    def at(self, x, y):
        """Point spread function of a position.

        Parameters
        ----------
        x, y : float or array-like
            Position in pixels, 0 in the centre of the first; beyond the field where it is known it is that
            of the field's edge.

        Returns
        -------
        psf : `~numpy.ndarray`
            Samples that sum to ``OVERSAMPLING**2``, shape ``(..., SIDE, SIDE)``.
        """
        x, y = (
            np.clip((np.asarray(value, dtype=float) - center) / scale, -1, 1)
            for value, center, scale in zip((x, y), self.center, self.scale, strict=True)
        )
        factors = np.stack(np.broadcast_arrays(*[x**i * y**j for i, j in powers(self.degree)]), axis=-1)
        psf = np.tensordot(factors, self.terms, axes=1)
        return (psf * (OVERSAMPLING**2 / psf.sum((-2, -1), keepdims=True))).astype(np.float32)

    def kernel(self, x, y):
        """Shares of the light in pixels for a star at the centre of one.

        Parameters
        ----------
        x, y : float or array-like
            Position in pixels.

        Returns
        -------
        kernel : `~numpy.ndarray`
            Shape ``(..., 2 * HALF + 1, 2 * HALF + 1)``.
        """
        return self.at(x, y)[..., ::OVERSAMPLING, ::OVERSAMPLING]

    def moved(self, x, y):
        """The same PSF where the pixel ``(x, y)`` becomes the first one, as in a cut-out.

        Parameters
        ----------
        x, y : float
            Column and row of the new first pixel.

        Returns
        -------
        psf : `PSF`
            Of the cut-out.
        """
        return replace(self, center=(self.center[0] - x, self.center[1] - y))
