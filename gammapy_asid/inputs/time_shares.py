# Licensed under a 3-clause BSD style license - see LICENSE
"""Share of bins of time in an exposure, by the good times or, where these are wrong, by the photons."""

import logging

import numpy as np
from scipy.stats import chi2

__all__ = ["exposure_shares"]

log = logging.getLogger(__name__)

#: Cells of the sky in which photons are counted, and how few they may be.
CELLS, FEWEST_CELLS = 100, 10
#: Mean number of photons in a cell and a bin of time, from which their scatter is nearly normal.
PER_CELL = 10
#: Probability by chance below which a cell varies (among 100 few are lost), and below which the photons do
#: not follow the good times.
VARIES, DIFFERS = 1e-3, 1e-4
#: Least relative difference for that. In simulated fields of the LAT with variable sources the shares by
#: photons are right to 0.2-2 % (rms), up to 1.7 times their statistical error.
LEAST = 0.05
#: Number of expected photons from which none at all is no chance.
ENOUGH = 30
#: Share of varying cells from which no one share holds everywhere.
MANY = 0.3


def exposure_shares(counts, livetime, valid, geom, name):
    """Share of each bin of time in the exposure.

    A survey does not look everywhere for an equal share of its time: with other pointings the photons of the
    whole field become more or fewer. Where they tell so, they are the better measure. Parts of the field
    that vary by themselves, as flares do, are left out.

    Parameters
    ----------
    counts : `~numpy.ndarray`
        Photons of all energies in each bin, shape ``(n_bins, ...)``; zero where not valid.
    livetime : `~numpy.ndarray`
        Share of each bin in the good times, adding to 1, all positive; shape ``(n_bins,)``.
    valid : `~numpy.ndarray`
        Pixels that are valid, bool.
    geom : `~gammapy.maps.Geom`
        Geometry of the image.
    name : str
        Name of the dataset, for messages.

    Returns
    -------
    shares : `~numpy.ndarray`
        Shape ``(n_bins,)``: those of the good times unless the photons differ significantly.

    Raises
    ------
    ValueError
        If a bin has no photons where the good times let many be expected.
    """
    _check_none_empty(counts, livetime, name)
    n_cells = min(CELLS, int(counts.sum() / (PER_CELL * len(livetime))))
    if n_cells < FEWEST_CELLS:
        return livetime
    cells = _cell_counts(counts, valid, geom, n_cells)
    total = cells.sum(axis=0)
    cells = cells[:, total >= PER_CELL]
    if cells.shape[1] < FEWEST_CELLS:
        return livetime
    steady = _steady(cells)
    varying = 1 - steady.mean()
    photons = cells[:, steady].sum(axis=1)
    if varying > MANY:
        log.warning(
            f"{varying:.0%} of the field of dataset {name!r} vary in time: its exposure may be divided in "
            "another way in each part. Make the exposure of each bin, for Fermi-LAT by gtltcube and "
            "gtexpcube2."
        )
    shares = photons / max(photons.sum(), 1)
    ratio = shares / livetime
    if _chance(photons, livetime) > DIFFERS or np.abs(ratio - 1).max() < LEAST:
        return livetime
    log.warning(
        f"The photons of dataset {name!r} do not follow its good times, by factors of {ratio.min():.2f} to "
        f"{ratio.max():.2f}, as where the instrument is pointed: the exposure is divided by the photons of "
        f"the field, right to {1 / np.sqrt(max(photons.min(), 1)):.1%}. The exposure of each bin, for "
        "Fermi-LAT by gtltcube and gtexpcube2, is better."
    )
    return shares


def _check_none_empty(counts, livetime, name):
    """Check that no bin lacks its photons: events of less time than the good times say."""
    photons = counts.reshape(len(counts), -1).sum(axis=1)
    expected = photons.sum() * livetime
    lost = np.flatnonzero((photons == 0) & (expected > ENOUGH))
    if len(lost):
        raise ValueError(
            f"There is no event of dataset {name!r} in time bin {lost[0] + 1} of {len(livetime)}, where its "
            f"good times let {expected[lost[0]]:.0f} be expected: give the events of the whole time, or "
            "correct dataset.gti."
        )


def _cell_counts(counts, valid, geom, n_cells):
    """Photons in equal cells of the sky, shape ``(n_bins, n_cells)``."""
    import healpy

    valid = valid & np.isfinite(geom.get_coord().lon.value)
    area = np.nan_to_num(np.broadcast_to(geom.solid_angle().to_value("sr"), valid.shape)[valid]).sum()
    nside = max(1, round(np.sqrt(4 * np.pi / 12 / (area / n_cells))))
    sky = geom.get_coord().skycoord[valid].spherical
    index = healpy.ang2pix(nside, sky.lon.deg, sky.lat.deg, lonlat=True)
    _, index = np.unique(index, return_inverse=True)
    return np.stack([np.bincount(index, weights=image[valid]) for image in counts])


def _chance(photons, shares):
    """Probability of a scatter around the shares as large as this, along the first axis."""
    shares = shares.reshape(-1, *[1] * (photons.ndim - 1))
    expected = np.maximum(photons.sum(axis=0) * shares, 1e-9)
    return chi2.sf(((photons - expected) ** 2 / expected).sum(axis=0), len(shares) - 1)


def _steady(cells):
    """Cells that share one light curve, bool of shape ``(n_cells,)``."""
    shares = np.median(cells / cells.sum(axis=0), axis=1)
    steady = np.zeros(cells.shape[1], bool)
    for _ in range(20):
        now = _chance(cells, shares / shares.sum()) > VARIES
        if np.array_equal(now, steady) or not now.any():
            break
        steady, shares = now, cells[:, now].sum(axis=1)
    return steady
