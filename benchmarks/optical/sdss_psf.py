# Licensed under a 3-clause BSD style license - see LICENSE
"""Point spread functions that SDSS's own pipeline measured, from its psField files."""

import warnings

import numpy as np
from astropy.io import fits

from gammapy_asid.optical.psf import PSF, as_psf
from gammapy_asid.optical.psf.psf import powers

__all__ = ["sdss_five_parameters", "sdss_psf", "sdss_psf_image"]

#: Bands in the order of the file's extensions.
BANDS = "ugriz"
#: Rows and columns are counted in thousands in the polynomials of the coefficients.
POSITION_UNIT = 1e-3


def sdss_psf_image(path, band, x, y):
    """Image of a star at a position from the Karhunen-Loeve components (Lupton et al. 2001, ASPC 238, 269).

    Parameters
    ----------
    path : path
        psField file.
    band : str
        One of `BANDS`.
    x, y : float
        Column and row in the frame.

    Returns
    -------
    image : `~numpy.ndarray`
        One sample a pixel, the star at the centre of the middle one, sum 1.
    """
    with fits.open(path) as hdus:
        table = hdus[1 + BANDS.index(band)].data
        image = 0
        for row in table:
            n_rows, n_columns = int(row["nrow_b"]), int(row["ncol_b"])
            power = np.outer(
                (x * POSITION_UNIT) ** np.arange(n_columns), (y * POSITION_UNIT) ** np.arange(n_rows)
            )
            coefficient = (np.asarray(row["c"], dtype=float)[:n_columns, :n_rows] * power).sum()
            image = image + coefficient * np.asarray(row["RROWS"], float).reshape(row["RNROW"], row["RNCOL"])
    return image / image.sum()


def sdss_psf(path, band, shape=(1489, 2048), degree=2):
    """SDSS's point spread function of a frame as a `PSF`, a polynomial fitted on a grid of positions.

    Parameters
    ----------
    path : path
        psField file.
    band : str
        One of `BANDS`.
    shape : tuple
        Rows and columns of the frame.
    degree : int
        Of the polynomial.

    Returns
    -------
    psf : `PSF`
        Point spread function.
    """
    y, x = (grid.ravel() for grid in np.meshgrid(*[np.linspace(0, n - 1, 7) for n in shape], indexing="ij"))
    with warnings.catch_warnings():
        # SDSS's images of 51 pixels have one per cent of their light beyond the stamp
        warnings.simplefilter("ignore", UserWarning)
        images = np.stack([as_psf(sdss_psf_image(path, band, *at)).terms[0] for at in zip(x, y, strict=True)])
    center, scale = ((shape[1] - 1) / 2, (shape[0] - 1) / 2), (shape[1] / 2, shape[0] / 2)
    u, v = (x - center[0]) / scale[0], (y - center[1]) / scale[1]
    design = np.stack([u**i * v**j for i, j in powers(degree)], axis=1)
    terms = np.linalg.lstsq(design, images.reshape(len(x), -1), rcond=None)[0].reshape(-1, *images.shape[1:])
    with fits.open(path) as hdus:
        n_stars = int(hdus[6].data["psf_nstar"][0][BANDS.index(band)])
    return PSF(terms=terms, center=center, scale=scale, origin="SDSS's psField", n_stars=n_stars)


def sdss_five_parameters(path, band, side=51):
    """SDSS's two Gaussians and power law, a circular image at the middle of the frame.

    Parameters
    ----------
    path : path
        psField file.
    band : str
        One of `BANDS`.
    side : int
        Pixels along a side.

    Returns
    -------
    image : `~numpy.ndarray`
        One sample a pixel, sum 1.
    """
    with fits.open(path) as hdus:
        row = hdus[6].data[0]
        sigma1, sigma2, b, p0, beta, sigma_p = (
            float(row[f"psf_{name}"][BANDS.index(band)])
            for name in ("sigma1", "sigma2", "b", "p0", "beta", "sigmap")
        )
    r2 = (np.indices((side, side)) - side // 2) ** 2
    r2 = r2.sum(0)
    image = np.exp(-r2 / (2 * sigma1**2)) + b * np.exp(-r2 / (2 * sigma2**2))
    image += p0 * (1 + r2 / (beta * sigma_p**2)) ** (-beta / 2)
    return image / image.sum()
