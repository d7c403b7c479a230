# Licensed under a 3-clause BSD style license - see LICENSE
"""
Train a detector for your telescope
===================================

A model for data that no shipped model knows: here a telescope like H.E.S.S.

Context
-------

A shipped model knows its instruments: ``lat`` the Fermi-LAT, ``cta-gps`` the CTAO. Data
of another telescope are outside of what they were trained for. One command trains a
model on the response of *your* dataset: its exposure, PSF, background and energies. The
sources are simulated; no sources of the dataset are learned.

**Objective: train a detector for a H.E.S.S.-like dataset, and use it.**

Proposed approach
-----------------

We simulate ten hours of a field with two sources. The training here is a very short
one, so that this page is made in a minute; the end says what a real one takes. On the
command line the steps are::

    gammapy-asid train --dataset field.fits.gz --output runs
    gammapy-asid detect field.fits.gz --model runs/field.safetensors
"""

import tempfile
from pathlib import Path

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap, PSFMap
from gammapy.maps import MapAxis, WcsGeom
from gammapy.modeling.models import (
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
)

from gammapy_asid import DLSourceDetector
from gammapy_asid.learning.recipe import OptimiserRecipe
from gammapy_asid.learning.run import release, train
from gammapy_asid.plots import plot_field, plot_training_history
from gammapy_asid.tasks.detection.recipe import DetectionRecipe
from gammapy_asid.tasks.detection.simulator import dataset_simulator

# %%
# The data
# --------
#
# Exposure, background and PSF of ten hours, as functions of energy. With data of your
# own, `~gammapy.makers.MapDatasetMaker` makes the dataset.

axis = MapAxis.from_energy_bounds("0.3 TeV", "30 TeV", nbin=8)
true_axis = MapAxis.from_energy_bounds("0.2 TeV", "40 TeV", nbin=12, name="energy_true")
geom = WcsGeom.create(
    skydir=(83.63, 22.01), width=(4, 4), binsz=0.04, frame="icrs", axes=[axis]
)
dataset = MapDataset.create(geom, energy_axis_true=true_axis, name="field")

energy = true_axis.center.to_value("TeV")
area = 2e5 * np.clip(energy, 0.2, 1.5) ** 0.5  # m2
dataset.exposure.data += area[:, None, None] * 36000  # m2 s
dataset.psf = PSFMap.from_gauss(true_axis, sigma=0.05 * energy**-0.2 * u.deg)
dataset.edisp = EDispKernelMap.from_diagonal_response(axis, true_axis)
dataset.mask_safe.data |= True

edges = axis.edges.to_value("TeV")
above = 2.0 * (edges / 0.3) ** -1.7  # counts of a pixel above each energy
dataset.background.data += -np.diff(above)[:, None, None]

places = SkyCoord([83.63, 84.4], [22.01, 21.2], unit="deg")
models = []
for place, amplitude in zip(places, (2.5e-12, 1.2e-12), strict=True):
    spatial = PointSpatialModel(lon_0=place.ra, lat_0=place.dec, frame="icrs")
    spectrum = PowerLawSpectralModel(
        index=2.4, amplitude=amplitude * u.Unit("cm-2 s-1 TeV-1"), reference="1 TeV"
    )
    models.append(SkyModel(spectrum, spatial))
dataset.models = models
dataset.fake(random_state=1)
dataset.models = None
print(f"{dataset.counts.data.sum():.0f} counts")

# %%
# A recipe
# --------
#
# This one is tiny: few simulated patches, and a start from the weights of ``cta-gps``,
# which knows the same energies. Leave the recipe out on the command line, and the
# recipe ``dataset`` is taken.

recipe = DetectionRecipe(
    name="field",
    seed=1,
    start="cta-gps",
    patch_size=32,
    validation_patches=64,
    calibration_patches=128,
    optimiser=OptimiserRecipe(
        batch_size=16, batches_per_epoch=20, epochs=3, precision="32-true"
    ),
)

# %%
# Training
# --------
#
# The simulator knows exposure, PSF and background of the dataset, and draws fields with
# random sources. ``train`` fits the network, ``release`` calibrates the score and
# writes the weights with their card.

folder = Path(tempfile.mkdtemp())
simulator = dataset_simulator(dataset, recipe)
network = train(recipe, folder, simulator, num_workers=0, progress=False)
weights = folder / "field.safetensors"
card = release(network, recipe, simulator, weights)

# %%
# Purity and recall on a fixed simulated sky, after each epoch.

plot_training_history(folder / "metrics.csv")
plt.show()

# %%
# Detection
# ---------
#
# The file of the weights is the model. Its card says what to expect of it.

candidates = DLSourceDetector(model=weights, threshold=0.5).run(dataset)
print(candidates)
for place in places:
    nearest = candidates.positions.separation(place).min().deg
    print(f"source at {place.to_string()}: nearest candidate {nearest:.3f} deg away")

plot_field(candidates, dataset, catalog=places)
plt.show()

# %%
# A real training
# ---------------
#
# The recipe ``dataset`` has a wider network, 64 000 simulated patches, and ensembles
# for positions and fluxes after it. See the page *Train a model* of the user guide for
# what it can do more: extended sources, a given time (``--minutes``), an accelerator
# (``--device cuda``). Then judge the model on simulations that did not train it::
#
#     gammapy-asid evaluate --model runs/field.safetensors --dataset field.fits.gz
