# Licensed under a 3-clause BSD style license - see LICENSE
"""
Find sources in CTAO data
=========================

Points and extended sources in a field of the Cherenkov Telescope Array Observatory.

Context
-------

A field of the Galactic plane above 30 GeV holds points and extended sources, and
interstellar emission. A map of the test statistic is made for one size of a source: a
map for points breaks an extended source up into many peaks. The model ``cta-gps`` looks
for all sizes at once.

**Objective: find the sources of a CTAO field, and measure the fluxes of the points.**

Proposed approach
-----------------

We simulate three hours on a field with a response like that of the southern array, so
this tutorial needs no data and the truth is known. To use your own data, read the
`~gammapy.datasets.MapDataset` that `~gammapy.makers.MapDatasetMaker` made::

    dataset = MapDataset.read("plane.fits.gz")
"""

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap, PSFMap
from gammapy.maps import MapAxis, WcsGeom
from gammapy.modeling.models import (
    GaussianSpatialModel,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
)

from gammapy_asid import DLFluxEstimator, DLSourceDetector
from gammapy_asid.plots import plot_field

# %%
# The instrument
# --------------
#
# Exposure, background and width of the PSF of three hours, as functions of energy.
# Pixels of 0.04 deg suit the model; it also takes 0.02 to 0.06 deg.

axis = MapAxis.from_energy_bounds("30 GeV", "100 TeV", nbin=12)
true_axis = MapAxis.from_energy_bounds(
    "25 GeV", "120 TeV", nbin=5, per_decade=True, name="energy_true"
)
geom = WcsGeom.create(
    skydir=(330, 0), width=(5, 4), binsz=0.04, frame="galactic", axes=[axis]
)
dataset = MapDataset.create(geom, energy_axis_true=true_axis, name="field")

knots = [-1.5, -0.5, 0.5, 1.5]  # log10 of the energy in TeV
energy = np.log10(true_axis.center.to_value("TeV"))
exposure = np.interp(energy, knots, [1.4e9, 1.5e10, 1.1e11, 2.9e11])  # m2 s
dataset.exposure.data += exposure[:, None, None]
sigma = np.interp(energy, knots, [0.12, 0.065, 0.033, 0.022])
dataset.psf = PSFMap.from_gauss(true_axis, sigma=sigma * u.deg)
dataset.edisp = EDispKernelMap.from_diagonal_response(axis, true_axis)
dataset.mask_safe.data |= True

# Counts of a pixel above each energy, of three hours
edges = np.log10(axis.edges.to_value("TeV"))
above = np.interp(edges, [-1.53, -1, 0, 1, 2], [51, 18, 0.45, 0.02, 0])
dataset.background.data += -np.diff(above)[:, None, None]

# %%
# The sky
# -------
#
# Four points and two Gaussians. The flux is given at 1 TeV.

sources = {
    "point A": (330.9, 0.4, 0, 2.0e-12),
    "point B": (329.1, -0.9, 0, 1.2e-12),
    "point C": (328.4, 0.9, 0, 8e-13),
    "point D": (330.3, -1.3, 0, 5e-13),
    "nebula": (331.7, -0.6, 0.15, 4e-12),
    "shell": (328.9, 0.1, 0.3, 8e-12),
}
models = []
for name, (lon, lat, width, amplitude) in sources.items():
    spatial = PointSpatialModel(lon_0=lon * u.deg, lat_0=lat * u.deg, frame="galactic")
    if width:
        spatial = GaussianSpatialModel(
            lon_0=lon * u.deg, lat_0=lat * u.deg, sigma=width * u.deg, frame="galactic"
        )
    spectrum = PowerLawSpectralModel(
        index=2.3, amplitude=amplitude * u.Unit("cm-2 s-1 TeV-1"), reference="1 TeV"
    )
    models.append(SkyModel(spectrum, spatial, name=name))

dataset.models = models
dataset.fake(random_state=1)
dataset.models = None
print(f"{dataset.counts.data.sum():.0f} counts")

# %%
# Detection
# ---------
#
# The background of the dataset is the known sky. If you have a model of the
# interstellar emission, put it on the dataset before.

candidates = DLSourceDetector(model="cta-gps", threshold=0.5).run(dataset)
shown = candidates.table["name", "glon", "glat", "pos_err_68", "score"]
for name in shown.colnames[1:]:
    shown[name].info.format = ".3f"
shown.pprint(max_width=-1)

# %%
# A look
# ------
#
# Crosses are the true sources.

truth = SkyCoord(
    [values[0] for values in sources.values()],
    [values[1] for values in sources.values()],
    unit="deg",
    frame="galactic",
)
plot_field(candidates, dataset, catalog=truth)
plt.show()

# %%
# Is it right?
# ------------
#
# A candidate is the centre of a source. It may lie 0.12 deg from the true centre, and
# 0.7 widths of an extended source more.

for (name, (_, _, width, _)), place in zip(sources.items(), truth, strict=True):
    nearest = candidates.positions.separation(place).min().deg
    verdict = "found" if nearest < np.hypot(0.12, 0.7 * width) else "missed"
    print(f"{name:8s} {verdict}, nearest candidate {nearest:.3f} deg away")

# %%
# Fluxes
# ------
#
# All sources are measured as points. That is right for points; the flux of an extended
# source is too low. Tell them apart with the tutorial *Classify extension*.

estimator = DLFluxEstimator(model="cta-gps", e_min=0.1 * u.TeV, e_max=10 * u.TeV)
fluxes = estimator.run(dataset, candidates)
number, separation, _ = truth[:4].match_to_catalog_sky(candidates.positions)
for source, row, distance in zip(models[:4], number, separation, strict=True):
    if distance.deg > 0.12:
        continue
    flux = fluxes.table["flux"][row]
    true = source.spectral_model.integral(0.1 * u.TeV, 10 * u.TeV).to(flux.unit)
    print(f"{source.name}: {flux:.2e}, true {true:.2e}")

# %%
# On the command line::
#
#     gammapy-asid detect plane.fits.gz --model cta-gps --output results
#     gammapy-asid flux plane.fits.gz --sources results/candidates.fits \
#         --model cta-gps --output fluxes.fits
