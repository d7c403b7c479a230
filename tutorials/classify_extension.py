# Licensed under a 3-clause BSD style license - see LICENSE
"""
Point-like or extended?
=======================

From runs of the first CTA data challenge to a source list with classes of size, and the
test statistic of extension beside.

Context
-------

Many sources of the Galactic plane are extended at TeV energies. A likelihood fit shows
how large they are, one source at a time. A network does it in milliseconds, and its
result is a good start for the fit.

**Objective: classes and widths of the sources near the Galactic centre, checked by a
likelihood fit.**

Proposed approach
-----------------

We stack the runs of the data challenge that point at the Galactic centre (the fourth
one looks elsewhere), or simulate a field where the data are not there. We look for
peaks with Gammapy, classify them, and fit the brightest.
"""

import os
from pathlib import Path

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from gammapy.data import DataStore
from gammapy.datasets import Datasets, MapDataset
from gammapy.estimators import ExcessMapEstimator
from gammapy.estimators.utils import find_peaks
from gammapy.irf import EDispKernelMap, PSFMap
from gammapy.makers import MapDatasetMaker, SafeMaskMaker
from gammapy.maps import MapAxis, WcsGeom
from gammapy.modeling import Fit
from gammapy.modeling.models import (
    FoVBackgroundModel,
    GaussianSpatialModel,
    Models,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
)

from gammapy_asid import DLExtensionClassifier

# %%
# The field
# ---------
#
# Pixels of 0.02 deg; the bins of energy may be finer than the four bands of the model.

edges = np.concatenate([[0.03, 0.055], np.geomspace(0.1, 100, 7)]) * u.TeV
axis = MapAxis.from_energy_edges(edges, name="energy")
true_axis = MapAxis.from_energy_bounds(
    "25 GeV", "120 TeV", 5, per_decade=True, name="energy_true"
)
center = SkyCoord(0, 0, unit="deg", frame="galactic")
geom = WcsGeom.create(
    skydir=center, width=(5, 4), binsz=0.02, frame="galactic", axes=[axis]
)


def stack_runs(folder):
    """The runs of the data challenge within 3 deg of the centre, as one dataset."""
    stacked = MapDataset.create(
        geom, energy_axis_true=true_axis, name="galactic-centre"
    )
    maker, mask = (
        MapDatasetMaker(),
        SafeMaskMaker(methods=["offset-max"], offset_max=3 * u.deg),
    )
    for observation in DataStore.from_dir(folder).get_observations():
        pointing = observation.get_pointing_icrs(observation.tmid)
        if pointing.separation(center).deg < 3:
            part = stacked.cutout(
                pointing, width=6 * u.deg, name=f"run-{observation.obs_id}"
            )
            stacked.stack(mask.run(maker.run(part, observation), observation))
    return stacked


def simulate_field():
    """Two hours of the CTAO: a point, and Gaussians of 0.08, 0.2 and 0.4 deg."""
    dataset = MapDataset.create(geom, energy_axis_true=true_axis, name="simulated")
    energy = true_axis.center.to_value("TeV")[:, None, None]
    # Exposure, background and PSF width are power laws near those of the array
    dataset.exposure.data += np.interp(
        np.log10(energy), [-1.5, -0.5, 0.5, 1.5], [9e8, 1e10, 7e10, 1.9e11]
    )
    counts = np.diff(
        np.interp(
            np.log10(edges.value), [-1.52, -1, 0, 1, 2], [0, 5.4, 8.4, 8.46, 8.465]
        )
    )
    dataset.background.data += counts[:, None, None]
    sigma = np.interp(
        np.log10(true_axis.center.to_value("TeV")),
        [-1.5, -0.5, 0.5, 1.5],
        [0.12, 0.065, 0.033, 0.022],
    )
    dataset.psf = PSFMap.from_gauss(true_axis, sigma=sigma * u.deg)
    dataset.edisp = EDispKernelMap.from_diagonal_response(axis, true_axis)
    dataset.mask_safe.data |= True
    places = {
        "point": (0.1, 0.3, 0),
        "small": (1.4, -0.5, 0.08),
        "medium": (-1.3, 0.6, 0.2),
        "large": (-0.4, -0.9, 0.4),
    }
    models = []
    for name, (lon, lat, width) in places.items():
        place = {"lon_0": lon * u.deg, "lat_0": lat * u.deg, "frame": "galactic"}
        spatial = (
            GaussianSpatialModel(sigma=width * u.deg, **place)
            if width
            else PointSpatialModel(**place)
        )
        amplitude = 1.5e-12 * (1 + 3 * width) * u.Unit("cm-2 s-1 TeV-1")
        models.append(
            SkyModel(
                PowerLawSpectralModel(
                    index=2.3, amplitude=amplitude, reference="1 TeV"
                ),
                spatial,
                name=name,
            )
        )
    dataset.models = models
    dataset.fake(random_state=1)
    dataset.models = None
    return dataset


runs = Path(os.environ.get("GAMMAPY_DATA", "")) / "cta-1dc/index/gps"
dataset = stack_runs(runs) if runs.is_dir() else simulate_field()
print(f"{dataset.name}: {dataset.counts.data.sum():.0f} counts")

# %%
# Candidates
# ----------
#
# Peaks of the excess within 0.1 deg. Any other list of positions would do, such as that
# of ``DLSourceDetector``.

excess = ExcessMapEstimator(correlation_radius=0.1 * u.deg).run(dataset.to_image())
peaks = find_peaks(excess["sqrt_ts"], threshold=6, min_distance=0.3 * u.deg)
positions = SkyCoord(peaks["ra"], peaks["dec"], unit="deg", frame="icrs")
print(f"{len(positions)} peaks")

# %%
# Classes and widths
# ------------------
#
# One call for all sources. Class C0 holds points and widths below 0.1 deg, C1 0.1 to
# 0.3 deg, C2 larger ones.

extensions = DLExtensionClassifier(model="cta-extension").run(dataset, positions)
columns = [
    "name",
    "extension_class",
    "extension_prob",
    "extended_prob",
    "ext_sigma",
    "flags",
]
extensions.table[columns].pprint(max_width=-1)

# %%
# The test statistic of extension
# -------------------------------
#
# We fit the three most significant sources as a point and as a Gaussian that starts
# from the estimated width. The background and the fluxes of the other sources, as the
# network sees them, are free. Emission that no model has, such as the ridge of the
# Galactic centre, widens the Gaussian of a weak source.

spectrum = PowerLawSpectralModel(
    index=2.3, amplitude="2e-12 cm-2 s-1 TeV-1", reference="1 TeV"
)
spectrum.amplitude.min = 0


def fit(name, position, spatial):
    """Fit statistic of a source with a spatial model."""
    part = dataset.cutout(position, width=2 * u.deg, name="part")
    part = part.slice_by_energy(0.1 * u.TeV, 100 * u.TeV, name="part")
    others = [
        model
        for model in extensions.to_models(spectrum)
        if model.name != name and model.position.separation(position).deg < 1.2
    ]
    for model in others:
        model.spatial_model.freeze()
        model.spectral_model.index.frozen = True
    own = SkyModel(spectrum.copy(), spatial, name=name)
    part.models = Models([own, *others, FoVBackgroundModel(dataset_name="part")])
    for axis_name in ("lon_0", "lat_0"):
        parameter = getattr(spatial, axis_name)
        parameter.min, parameter.max = parameter.value - 0.3, parameter.value + 0.3
    result = Fit(optimize_opts={"strategy": 0, "tol": 1.0}).optimize(Datasets([part]))
    return result.total_stat


rows = []
for i in range(min(3, len(positions))):
    position, row = positions[i].galactic, extensions.table[i]
    gaussian = GaussianSpatialModel(
        lon_0=position.l, lat_0=position.b, sigma=row["ext_sigma"], frame="galactic"
    )
    gaussian.sigma.min, gaussian.sigma.max = 1e-3, 2
    point = PointSpatialModel(lon_0=position.l, lat_0=position.b, frame="galactic")
    name = str(row["name"])
    ts_ext = fit(name, position, point) - fit(name, position, gaussian)
    rows.append(
        (
            row["name"],
            row["extension_class"],
            row["extended_prob"],
            row["ext_sigma"],
            gaussian.sigma.quantity,
            ts_ext,
        )
    )
names = ["name", "class", "extended_prob", "network_sigma", "fitted_sigma", "ts_ext"]
compared = QTable(rows=rows, names=names)
for name in ("extended_prob", "network_sigma", "fitted_sigma", "ts_ext"):
    compared[name].info.format = ".3f"
compared.pprint(max_width=-1)

# %%
# The map
# -------
#
# Circles have the radius of the estimated width; points are crosses.

image = dataset.to_image()
residual = (image.counts - image.background).smooth(0.05 * u.deg)
ax = residual.plot(stretch="sqrt", vmin=0, add_cbar=True)
for model in extensions.to_models():
    place = model.position.galactic
    if isinstance(model.spatial_model, GaussianSpatialModel):
        circle = plt.Circle(
            (place.l.deg, place.b.deg),
            model.spatial_model.sigma.value,
            fill=False,
            color="w",
            transform=ax.get_transform("galactic"),
        )
        ax.add_patch(circle)
    else:
        ax.plot(place.l.deg, place.b.deg, "w+", transform=ax.get_transform("galactic"))
plt.show()

# %%
# ``gammapy-asid extension dataset.fits.gz --sources candidates.fits`` does the same on
# the command line, and ``gammapy-asid train --task extension --dataset
# dataset.fits.gz`` makes a model for another telescope.
