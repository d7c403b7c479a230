# Licensed under a 3-clause BSD style license - see LICENSE
"""
Positions and fluxes with errors
================================

Measure where the sources of a field are and how bright they are, and check the stated
errors with the truth, and with the best errors that any method can reach.

Context
-------

A source list is as good as its errors. Positions and fluxes here come from deep
ensembles that correct a likelihood fit of all candidates at once. Their errors are
calibrated on simulations.

**Objective: refined positions with error ellipses, fluxes and spectra of the sources of
a field.**

Proposed approach
-----------------

We simulate a field, so that the truth is known, detect its sources and estimate their
fluxes in a range of energies of our choice.
"""

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord

from gammapy_asid import DLFluxEstimator, DLSourceDetector
from gammapy_asid.simulation import analytic_emission, draw_sky, simulate_dataset
from gammapy_asid.stats.bounds import source_limits

# %%
# The field
# ---------
#
# A sky drawn from populations fitted to 4FGL-DR4, seen for ten years.

rng = np.random.default_rng(3)
catalog = draw_sky(rng)
center = SkyCoord(160, 40, unit="deg", frame="galactic")
dataset = simulate_dataset(
    center, (24 * u.deg, 24 * u.deg), catalog, analytic_emission(), rng=rng
)

# %%
# Positions
# ---------
#
# The detector refines the positions of its candidates. The columns of the error
# ellipses give the probability of 68 % and of 95 % to hold the source.

candidates = DLSourceDetector(model="lat", threshold=0.5).run(dataset)
table = candidates.table[
    "name", "ra", "dec", "semi_major_68", "semi_minor_68", "pos_angle", "score"
]
table[:5].pprint(max_width=-1)

# %%
# Fluxes
# ------
#
# The range of energies is ours to choose, inside that of the data.

estimator = DLFluxEstimator(model="lat", e_min=1 * u.GeV, e_max=100 * u.GeV)
fluxes = estimator.run(dataset, candidates)
fluxes.table["name", "flux", "flux_errn", "flux_errp", "flux_ul"][:5].pprint(
    max_width=-1
)

# %%
# With these the candidates are complete.

candidates = candidates.with_fluxes(fluxes)

# %%
# Spectra
# -------
#
# Each source has native flux points, one per energy band. Points whose 95 % interval
# reaches zero are upper limits.

brightest = int(np.argmax(fluxes.table["flux"]))
points = fluxes.flux_points(brightest)
fig, ax = plt.subplots(figsize=(7, 5), layout="constrained")
points.plot(ax=ax, sed_type="e2dnde")
ax.set_title(fluxes.table["name"][brightest])
plt.show()

# %%
# Are the errors true?
# --------------------
#
# Each candidate is compared with the brightest simulated source within 0.3 deg. Fainter
# sources than 1e-10 cm-2 s-1 are left out: these data can't show them, and they lie
# near any position by chance.

catalog = catalog.select(catalog.flux(1, 100) > 1e-10)
positions = catalog.positions
true_flux = catalog.flux(1, 100)
separation = candidates.positions[:, None].separation(positions).deg
own = np.argmax(np.where(separation < 0.3, true_flux, 0), axis=1)
real = separation[np.arange(len(own)), own] < 0.3
offset = separation[np.arange(len(own)), own]
inside = offset < candidates.table["pos_err_68"].value
print(
    f"{inside[real].mean():.2f} of {real.sum()} true positions inside the 68 % radius"
)

flux = candidates.table["flux"].to_value("cm-2 s-1")
low, high = (
    candidates.table[name].to_value("cm-2 s-1") for name in ("flux_errn", "flux_errp")
)
inside = (true_flux[own] > flux - low) & (true_flux[own] < flux + high)
print(f"{inside[real].mean():.2f} of {real.sum()} true fluxes inside the 68 % interval")

fig, ax = plt.subplots(figsize=(6, 5))
ax.errorbar(
    true_flux[own][real], flux[real], yerr=[low[real], high[real]], fmt="o", ms=4
)
ax.plot([1e-10, 1e-8], [1e-10, 1e-8], "k--", lw=1)
ax.set(
    xscale="log",
    yscale="log",
    xlabel="True flux 1-100 GeV [cm-2 s-1]",
    ylabel="Estimated flux [cm-2 s-1]",
)
plt.show()

# %%
# The limit
# ---------
#
# How much better could anyone do? The Cramér-Rao bound says what the photons of this
# dataset allow, with all else known.

limits = source_limits(dataset, catalog.select(own[real]).to_models())
ratio = offset[real] / (
    limits["pos_err_68"].to_value("deg")
    / np.sqrt(-2 * np.log(0.32))
    * np.sqrt(2 * np.log(2))
)
print(f"Median offset over the bound: {np.median(ratio):.2f}")

# %%
# ``candidates.write("candidates.fits")`` keeps positions and fluxes; ``gammapy-asid
# flux`` does the same for any list of positions on the command line.
