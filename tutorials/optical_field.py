# Licensed under a 3-clause BSD style license - see LICENSE
"""
Stars and galaxies of an optical image
======================================

Find the sources of an optical image, separate stars from galaxies, measure how bright
they are, and use the result in Astropy and photutils.

Context
-------

A single exposure shows stars, galaxies, cosmic rays, and now and then a satellite. The
list of its sources should have the first two only, separate them, and say how sure it
is of everything.

**Objective: a table of the sources of a field, with classes and fluxes, and masks of
what is none.**

Proposed approach
-----------------

We take a frame of the Sloan Digital Sky Survey in the r band, with an exposure of 54
seconds, if the data are there (``GAMMAPY_ASID_DATA``), and a simulated field otherwise.
Each estimator adds its columns to the table of the one before it.
"""

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from astropy.io import fits

from gammapy_asid import (
    OpticalFluxEstimator,
    OpticalSourceClassifier,
    OpticalSourceDetector,
)
from gammapy_asid.optical.images import prepare_image, read_image
from gammapy_asid.optical.simulator import OpticalSimulator

# %%
# The image
# ---------
#
# ``read_image`` takes a path, a ``CCDData`` or an array; what the header does not tell
# is given beside it. The frame of the SDSS is in nanomaggies, whose zero point is
# known; its header does not tell how many electrons make one, without which the noise
# of bright sources is unknown: 4.71 a count of this camera.


def field():
    """Frame of the SDSS, or a simulated field without it."""
    frame = Path(
        os.environ.get("GAMMAPY_ASID_DATA", ""),
        "optical/sdss/frame-r-000094-1-0012.fits.bz2",
    )
    if frame.is_file():
        return read_image(frame, gain=4.71 / fits.getval(frame, "NMGY"))
    drawn = OpticalSimulator(
        size=512, fwhm=(2.8, 3.2), cameras=1, kinds=(1, 0, 0)
    ).draw(1, 4)
    return read_image(
        100 + 5 * drawn.batch.signal[0].numpy(),
        psf=drawn.batch.psf[0].numpy()[::4, ::4],
    )


image = field()
print(image.name, image.shape, image.unit, "zero point", image.zero_point)

# %%
# Sky, noise and point spread function
# ------------------------------------
#
# Networks see the image in units of the noise of its sky, and get the width of its
# stars. Both are measured once for all estimators.

prepared = prepare_image(image)
print(f"Stars are {prepared.psf.fwhm:.2f} pixels wide ({prepared.psf.origin})")

# %%
# Sources
# -------
#
# The score is the probability to be real. The masks show the pixels of cosmic rays and
# of trails, where no source is reported; the spikes of very bright stars may count as
# trails.

sources = OpticalSourceDetector(threshold=0.5).run(prepared)
print(sources)
print(sources.masks)

# %%
# Stars and galaxies
# ------------------
#
# ``star_prob`` is the probability to be a star. Faint sources look alike: theirs is
# somewhere between, and follows from how many stars and galaxies the image has at other
# magnitudes.


def show(sources, columns):
    """Print some columns of the first sources."""
    table = sources.table[columns][:8]
    for column in table.itercols():
        if column.dtype.kind == "f":
            column.info.format = ".3f"
    table.pprint(max_width=-1)


sources = OpticalSourceClassifier().run(prepared, sources)
show(sources, ["id", "xcentroid", "ycentroid", "score", "star_prob", "flags"])

# %%
# Fluxes
# ------
#
# All sources are measured together, so that neighbours do not count twice.
# ``flux_bound`` is what the noise allows a star at that place at best.

sources = OpticalFluxEstimator().run(prepared, sources)
show(sources, ["id", "flux", "flux_errn", "flux_errp", "flux_bound", "star_prob"])

# %%
# The picture
# -----------

sources.plot()
plt.show()

# %%
# A closer look, in pixels, shows what was found among neighbours. The numbers in the
# legend are those of the whole image.

ny, nx = image.shape
_, ax = plt.subplots(figsize=(7, 5.5), layout="constrained")
sources.plot(ax=ax)
ax.set(
    xlabel="x (pixels)",
    ylabel="y (pixels)",
    xlim=(nx // 2 - 120, nx // 2 + 120),
    ylim=(ny // 2 - 90, ny // 2 + 90),
)
plt.show()

# %%
# How sure are we?
# ----------------
#
# Errors of the flux over the flux, and what the noise allows a star of that flux
# (``flux_bound``). Faint stars are near this bound. Bright ones are not: how well the
# point spread function is known limits them. Galaxies are wider than a star, and lie
# above.

flux, error, bound = (
    np.asarray(sources.table[name]) for name in ("flux", "flux_errp", "flux_bound")
)
fig, ax = plt.subplots(figsize=(6, 4.5), layout="constrained")
for kind, marker, colour in (("galaxy", "o", "#D55E00"), ("star", "x", "#0072B2")):
    rows = (sources.kinds == kind) & (flux > 0)
    ax.plot(
        flux[rows],
        error[rows] / flux[rows],
        marker,
        ms=4,
        color=colour,
        mfc="none",
        label=kind,
    )
rows = flux > 0
ax.plot(flux[rows], bound[rows] / flux[rows], ".", ms=2, color="0.4", label="bound")
ax.set(
    xscale="log",
    yscale="log",
    xlabel=f"Flux [{image.unit or 'image'}]",
    ylabel="Error / flux",
)
ax.legend()
plt.show()

# %%
# Further
# -------
#
# ``sources.write("sources.fits")`` keeps table and masks,
# ``sources.write("sources.reg")`` makes regions for DS9. With a WCS
# ``sources.to_candidates()`` gives what the association with other catalogues takes.
# The command line does all of it with ``gammapy-asid optical image.fits --output
# out/``.
#
# The detector is a star finder of photutils as well: ``PSFPhotometry(model, (7, 7),
# finder=OpticalSourceDetector())``.
