# Licensed under a 3-clause BSD style license - see LICENSE
"""Frames of SDSS with their noise, mask and point spread function, for the programs that measure on them."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from scipy.ndimage import map_coordinates, uniform_filter

from gammapy_asid.optical.psf import PSF

from .sdss_psf import BANDS, sdss_psf

__all__ = ["Frame", "read_frame", "read_planes"]

#: Planes of the mask (fpM, extension less one).
PLANES = {"interpolated": 0, "saturated": 1, "cosmic ray": 9}
#: Magnitude of one nanomaggy.
ZERO_POINT = 22.5


@dataclass(frozen=True, eq=False, kw_only=True)
class Frame:
    """A frame of SDSS.

    Parameters
    ----------
    data : `~numpy.ndarray`
        Image above SDSS's sky in nanomaggies.
    gain : float
        Electrons in a nanomaggy.
    sky_noise : `~numpy.ndarray`
        Standard deviation of the pixels without any source, from the sky that was taken off, gain and dark
        variance, in nanomaggies.
    saturated : `~numpy.ndarray`
        Pixels that SDSS's pipeline flags as saturated, bool.
    psf : `~gammapy_asid.optical.psf.PSF`
        SDSS's point spread function.
    wcs : `~astropy.wcs.WCS`
        World coordinates.
    """

    data: np.ndarray
    gain: float
    sky_noise: np.ndarray
    saturated: np.ndarray
    psf: PSF
    wcs: WCS

    @property
    def noise(self):
        """Standard deviation of the pixels with that of the light in them, in nanomaggies."""
        return np.sqrt(self.sky_noise**2 + np.maximum(uniform_filter(self.data, 3), 0) / self.gain)

    def cut(self, ys, xs):
        """Part of the frame, by slices of rows and columns."""
        parts = {name: getattr(self, name)[ys, xs] for name in ("data", "sky_noise", "saturated")}
        return replace(self, **parts, psf=self.psf.moved(xs.start, ys.start), wcs=self.wcs[ys, xs])


def read_planes(path, shape):
    """Masks of SDSS's pipeline.

    Parameters
    ----------
    path : path
        fpM file: spans of rows, each a row with its first and last column.
    shape : tuple
        Rows and columns of the frame.

    Returns
    -------
    planes : dict of `~numpy.ndarray`
        Masks by the names of `PLANES`.
    """
    planes = {}
    with fits.open(path) as hdus:
        for name, number in PLANES.items():
            mask = np.zeros(shape, bool)
            table = hdus[number + 1].data
            for spans in [] if table is None else table.field("s"):
                spans = np.asarray(spans).astype(np.uint8).view(">i2").reshape(-1, 3)
                for row, first, last in spans.astype(int):
                    mask[row, first : last + 1] = True
            planes[name] = mask
    return planes


def read_frame(folder, field, band="r"):
    """Read a frame of SDSS with what lies beside it.

    Parameters
    ----------
    folder : path
        Folder with the files.
    field : str
        Run, camera column and field as in the names of the frames, such as ``"002583-2-0136"``.
    band : str
        Band.

    Returns
    -------
    frame : `Frame`
        Frame.
    """
    number = BANDS.index(band)
    with fits.open(folder / f"psField-{field}.fit") as hdus:
        electrons = float(hdus[6].data["gain"][0][number])
        dark = float(hdus[6].data["dark_variance"][0][number])
    with fits.open(folder / f"frame-{band}-{field}.fits.bz2") as hdus:
        data = hdus[0].data.astype(np.float32)
        with warnings.catch_warnings():
            # Old names of keywords
            warnings.simplefilter("ignore", FITSFixedWarning)
            wcs = WCS(hdus[0].header)
        calibration = hdus[1].data.astype(float)  # nanomaggies in a count, by column
        table = hdus[2].data[0]
        sky = map_coordinates(
            table["ALLSKY"].astype(float),
            np.meshgrid(table["YINTERP"], table["XINTERP"], indexing="ij"),
            order=1,
            mode="nearest",
        )
    run, column, part = field.split("-")
    mask_file = folder / f"fpM-{run}-{band}{column}-{part}.fit"
    saturated = np.zeros(data.shape, bool)
    if mask_file.exists():
        saturated = read_planes(mask_file, data.shape)["saturated"]
    return Frame(
        data=data,
        gain=electrons / calibration.mean(),
        sky_noise=(np.sqrt(sky / electrons + dark) * calibration).astype(np.float32),
        saturated=saturated,
        psf=sdss_psf(folder / f"psField-{field}.fit", band, data.shape),
        wcs=wcs,
    )
