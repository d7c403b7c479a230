# Licensed under a 3-clause BSD style license - see LICENSE
"""Averages over bands of energy, and the point spread function of a dataset."""

from dataclasses import replace

import numpy as np
from scipy.special import j0

__all__ = [
    "INDEX",
    "N_SUB",
    "RAD",
    "Quadrature",
    "local_response",
    "normalise_psf",
    "place_error",
    "psf_nodes",
    "smear_psf",
]

#: Photon index of the spectrum over which responses are averaged.
INDEX = 2.2
#: Sub-bands of a band.
N_SUB = 3
#: Offsets at which point spread functions are tabulated, in deg: steps of 0.7 mdeg at 0, 0.4 deg at 12.
RAD = 0.02 * np.sinh(np.linspace(0, np.arcsinh(12 / 0.02), 200))

#: Energies of the quadrature in a sub-band: effective areas are smooth on a thirtieth of it.
N_POINTS = 32
# Harmonics of the place inside a pixel: the error of a point is right to 3 %.
N_HARMONICS = 8


class Quadrature:
    """Energies and weights that average over each sub-band of each band.

    Parameters
    ----------
    e_min, e_max : `~numpy.ndarray`
        Band edges really covered in GeV, shape ``(n_bands,)``; NaN where absent.

    Attributes
    ----------
    energy : `~numpy.ndarray`
        Energies in GeV, shape ``(n_bands, N_SUB, n_points)``; NaN where absent.
    weight : `~numpy.ndarray`
        Photons of a power law of index `INDEX`, summing to 1 over each present
        band and to 0 over an absent one; shape as `energy`.
    """

    def __init__(self, e_min, e_max):
        step = (np.arange(N_SUB * N_POINTS) + 0.5) / (N_SUB * N_POINTS)
        log = np.log(e_min)[:, None] + np.log(e_max / e_min)[:, None] * step
        self.energy = np.exp(log).reshape(-1, N_SUB, N_POINTS)
        weight = self.energy ** (1 - INDEX)
        total = weight.sum(axis=(1, 2), keepdims=True)
        self.weight = np.nan_to_num(weight / total)

    def interpolation(self, nodes):
        """Weights of energy nodes for linear interpolation in log energy.

        Parameters
        ----------
        nodes : `~numpy.ndarray`
            Increasing energies in GeV; constant beyond them.

        Returns
        -------
        weights : `~numpy.ndarray`
            Shape ``(n_bands, N_SUB, n_points, n_nodes)``.
        """
        if len(nodes) == 1:
            return np.ones((*self.energy.shape, 1))
        log = np.log(np.clip(np.nan_to_num(self.energy, nan=nodes[0]), nodes[0], nodes[-1]))
        knots = np.log(nodes)
        low = np.clip(np.searchsorted(knots, log, side="right") - 1, 0, len(nodes) - 2)
        share = (log - knots[low]) / (knots[low + 1] - knots[low])
        index = np.arange(len(nodes))
        return (index == low[..., None]) * (1 - share)[..., None] + (index == low[..., None] + 1) * share[
            ..., None
        ]


def psf_nodes(psf, position):
    """Point spread function at one position, normalised at each true energy.

    Parameters
    ----------
    psf : `~gammapy.irf.PSFMap`
        Point spread function of a dataset.
    position : `~astropy.coordinates.SkyCoord`
        Where it is evaluated.

    Returns
    -------
    nodes : `~numpy.ndarray`
        Energies in GeV, shape ``(n_nodes,)``.
    values : `~numpy.ndarray`
        In 1/sr at `RAD`, shape ``(n_nodes, n_rad)``.

    Raises
    ------
    ValueError
        If it is zero at all energies.
    """
    psf_map = psf.psf_map
    axis = psf_map.geom.axes[psf.energy_name]
    nodes, rad_axis = axis.center, psf_map.geom.axes["rad"]
    if np.prod(psf_map.geom.to_image().data_shape) == 1:
        values = psf_map.data.reshape(len(nodes), -1)
    else:
        coords = {"skycoord": position, "rad": rad_axis.center, psf.energy_name: nodes[:, None]}
        values = psf_map.interp_by_coord(coords)
    values = np.nan_to_num(np.asarray(values, dtype=float))
    rad = rad_axis.center.to_value("deg")
    values = normalise_psf(np.stack([np.interp(RAD, rad, value, right=0.0) for value in values]))
    good = values.any(axis=1)
    if not good.any():
        raise ValueError(
            "The PSF is zero at the centre of the field: give the dataset a PSFMap that covers it."
        )
    return nodes.to_value("GeV")[good], values[good]


def local_response(datasets, response, position):
    """Response at a position of a field.

    Parameters
    ----------
    datasets : list of `~gammapy.datasets.MapDataset`
        Data of the field.
    response : `~gammapy_asid.inputs.Response`
        Response of the whole field, for its bands.
    position : `~astropy.coordinates.SkyCoord`
        Position.

    Returns
    -------
    response : `~gammapy_asid.inputs.Response`
        Exposure and point spread function of all datasets together.
    """
    quadrature = Quadrature(response.e_min, response.e_max)
    total = quadrature.weight.sum(axis=2)
    exposure, psf = 0.0, 0.0
    for dataset in datasets:
        nodes = dataset.exposure.geom.axes["energy_true"].center
        at = dataset.exposure.interp_by_coord({"skycoord": position, "energy_true": nodes})
        at = np.nan_to_num(np.ravel(at)) * dataset.exposure.unit.to("cm2 s")
        photons = quadrature.weight * (quadrature.interpolation(nodes.to_value("GeV")) @ at)
        share = np.divide(photons.sum(axis=2), total, out=np.zeros_like(total), where=total > 0)
        exposure = exposure + share
        nodes, values = psf_nodes(dataset.psf, position)
        psf = psf + np.einsum("bsq,bsqn->bsn", photons, quadrature.interpolation(nodes)) @ values
    return replace(response, exposure=exposure, psf=normalise_psf(psf))


def normalise_psf(psf, rad=RAD):
    """Scale point spread functions to an integral of 1 over the sphere within ``rad[-1]``.

    Parameters
    ----------
    psf : `~numpy.ndarray`
        Last axis is the offset; functions that are zero stay so.
    rad : `~numpy.ndarray`
        Offsets in deg.
    """
    angle = np.radians(rad)
    total = np.trapezoid(2 * np.pi * np.sin(angle) * psf, angle, axis=-1)[..., None]
    return np.divide(psf, total, out=np.zeros_like(psf), where=total > 0)


def place_error(psf, width, rad=RAD):
    """Error of positions along an axis from counts that lost their place inside pixels.

    The centre of the counts of a source, each in the middle of its pixel, is periodic in the place of
    the source inside its pixel. Its deviation from there is a Fourier series: harmonic ``k`` has the
    amplitude ``width / (pi k)`` times the Fourier transform of the point spread function at ``k / width``,
    and all places are equally likely. A function much narrower than the pixel leaves ``width / sqrt(12)``,
    one with a standard deviation of half a pixel and more nothing.

    Parameters
    ----------
    psf : `~numpy.ndarray`
        Normalised, before the pixels; last axis is the offset.
    width : float
        Side of the pixels in deg.
    rad : `~numpy.ndarray`
        Offsets in deg.

    Returns
    -------
    error : `~numpy.ndarray`
        Standard deviation in deg, shape ``psf.shape[:-1]``.
    """
    r = np.linspace(0, rad[-1], int(np.ceil(40 * rad[-1] / width)) + 1)
    fine = np.stack([np.interp(r, rad, row) for row in psf.reshape(-1, len(rad))])
    shares = 2 * np.pi * np.sin(np.radians(r)) * fine
    total = np.maximum(np.trapezoid(shares, r, axis=-1), 1e-30)
    square = 0.0
    for k in range(1, N_HARMONICS + 1):
        transform = np.trapezoid(shares * j0(2 * np.pi * k / width * r), r, axis=-1) / total
        square = square + (width / (np.pi * k) * transform) ** 2 / 2
    return np.sqrt(square).reshape(psf.shape[:-1])


def smear_psf(psf, width, rad=RAD):
    """Point spread function of counts that lost their place inside square pixels.

    A count that arrived anywhere in a pixel and is put anywhere in it again is
    displaced by the difference of two uniform variates, a triangle on each axis.

    Parameters
    ----------
    psf : `~numpy.ndarray`
        Last axis is the offset.
    width : float
        Side of the pixels in deg.
    rad : `~numpy.ndarray`
        Offsets in deg.
    """
    step = np.linspace(-1, 1, 32, endpoint=False) + 1 / 32
    dx, dy = np.meshgrid(step * width, step * width)
    weight = (1 - np.abs(step)) * (1 - np.abs(step))[:, None]
    share = weight.ravel() / weight.sum()
    flat = psf.reshape(-1, len(rad))
    smeared = np.zeros_like(flat)
    # two directions between the pixel's axis and its diagonal stand for all
    for angle in np.pi / 16 * np.array([1, 3]):
        offset = np.hypot(
            rad[:, None] * np.cos(angle) - dx.ravel(), rad[:, None] * np.sin(angle) - dy.ravel()
        )
        smeared += [np.interp(offset, rad, row) @ share for row in flat]
    return normalise_psf(smeared.reshape(psf.shape), rad)
