# Licensed under a 3-clause BSD style license - see LICENSE
"""
Detect sources in a field
=========================

Find gamma-ray sources in a Fermi-LAT field with the shipped model, look at them, and
hand them to a fit.

Context
-------

A field of the GeV sky holds tens of sources on bright diffuse emission. The classical
way to find them is a map of the test statistic of a source at each pixel, and its
peaks. A network trained on simulated skies does the same in a second, and gives for
each candidate the probability that it is real.

**Objective: make a list of source candidates of a field, judge it, and start a
likelihood fit from it.**

Proposed approach
-----------------

We simulate a field, so that this tutorial needs no data and the truth is known. To run
it on real data, read any `~gammapy.datasets.MapDataset` instead::

    from gammapy.datasets import MapDataset

    dataset = MapDataset.read("$GAMMAPY_DATA/fermi-3fhl-gc/fermi-3fhl-gc.fits.gz")
"""

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.datasets import Datasets
from gammapy.modeling import Fit

from gammapy_asid import DLSourceDetector
from gammapy_asid.plots import plot_field, plot_score_map
from gammapy_asid.simulation import analytic_emission, draw_sky, simulate_dataset

# %%
# The field
# ---------
#
# A sky is drawn from populations fitted to 4FGL-DR4 and seen for ten years, 12 deg by
# 12 deg of it.

rng = np.random.default_rng(7)
catalog = draw_sky(rng)
center = SkyCoord(75, 20, unit="deg", frame="galactic")
dataset = simulate_dataset(
    center, (12 * u.deg, 12 * u.deg), catalog, analytic_emission(), rng=rng
)
print(dataset)

# %%
# Detection
# ---------
#
# The threshold is a probability: candidates less certain are left out. The dataset is
# not changed.

detector = DLSourceDetector(model="lat", threshold=0.5)
candidates = detector.run(dataset)
print(candidates)

# %%
# What to expect of such a list is in its ``meta``, measured on simulations.

for name in ("expected_purity", "expected_completeness"):
    print(f"{name}: {candidates.meta[name]:.2f}")

# %%
# A look
# ------
#
# Rings are coloured by score. Crosses mark the simulated sources above 2e-10 cm-2 s-1
# (1-100 GeV).

positions = catalog.positions
bright = dataset.counts.geom.to_image().contains(positions) & (
    catalog.flux(1, 100) > 2e-10
)
plot_field(candidates, dataset, catalog=positions[bright])
plt.show()

# %%
# The network's own map: the probability of a source within 0.3 deg of each pixel.

plot_score_map(candidates)
plt.show()

# %%
# Is it right?
# ------------
#
# The truth is known here: the share of the candidates that have a simulated source
# nearby, and of the bright sources that have a candidate.

separation = candidates.positions.match_to_catalog_sky(positions)[1]
print(f"{np.mean(separation.deg < 0.3):.2f} of the candidates are real")
separation = positions[bright].match_to_catalog_sky(candidates.positions)[1]
print(f"{np.mean(separation.deg < 0.3):.2f} of {bright.sum()} bright sources are found")

# %%
# Towards a fit
# -------------
#
# Candidates become Gammapy models, regions or a catalogue. Here the most certain one is
# fitted above 1 GeV with the background that the dataset has: flux and index are now
# measured.

best = candidates[:1]
hard = dataset.slice_by_energy(1 * u.GeV, 1 * u.TeV, name="hard").cutout(
    best.positions[0], width=4 * u.deg, name="cutout"
)
hard.models = best.to_models()
for parameter in hard.models[0].spatial_model.parameters:
    parameter.frozen = True
Fit().run(Datasets([hard]))
print(hard.models[0])

# %%
# To keep the list: ``candidates.write("candidates.fits")``, ``candidates.to_regions()``
# for error ellipses, ``candidates.to_catalog()`` for a source catalogue.
