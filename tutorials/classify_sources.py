# Licensed under a 3-clause BSD style license - see LICENSE
"""
What kind of source?
====================

From ten yearly datasets of a field to a list of sources with classes, light curves and
spectra.

Context
-------

A list of sources asks for more: which of them are real, and what are they? Active
galaxies vary from year to year and have smooth spectra, those of pulsars are steady and
cut off, nebulae and remnants lie in the plane.

**Objective: classes with calibrated probabilities for the sources of a field near the
Galactic plane, and the light curves and spectra behind them.**

Proposed approach
-----------------

We simulate a field in bins of time, so that the truth is known, find its sources and
classify them in one step, compare the classes with the truth, and look at one source of
each class.
"""

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord

from gammapy_asid import DLFluxEstimator, DLLightCurveEstimator, DLSourceDetector
from gammapy_asid.evaluation.classification import confusion
from gammapy_asid.plots import plot_classified
from gammapy_asid.simulation import analytic_emission, draw_sky, simulate_time_bins

# %%
# The field in years
# ------------------
#
# Ten datasets, one a year. What makes them bins of time are their good time intervals:
# real photons are divided by `~gammapy_asid.inputs.split_in_time`.

rng = np.random.default_rng(4)
center = SkyCoord(75, 8, unit="deg", frame="galactic")
simulated = simulate_time_bins(
    center, (20, 15) * u.deg, draw_sky(rng), analytic_emission(), n_bins=10, rng=rng
)
datasets = simulated.datasets

# %%
# Sources and their classes
# -------------------------
#
# Probabilities hold for the shares of the classes in 4FGL at the latitude; other shares
# can be stated as the ``prior`` of a ``DLSourceClassifier``, which ``classify`` takes
# as well.

candidates = DLSourceDetector(classify=True).run(datasets)
columns = [
    "name",
    "score",
    "real_prob",
    "source_class",
    "prob_agn",
    "prob_psr",
    "prob_pwn_snr",
    "prob_fsrq",
]
shown = candidates.table[columns]
for name in columns[1:3] + columns[4:]:
    shown[name].info.format = ".2f"
shown.pprint(max_width=-1, max_lines=14)

# %%
# Each is compared with the nearest simulated source.

number, separation, _ = candidates.positions.match_to_catalog_sky(
    simulated.catalog.positions
)
true_class = simulated.light_curves["source_class"][number]
group = {"bll": 0, "fsrq": 0, "psr": 1, "pwn": 2, "snr": 2}
real = separation < 0.3 * u.deg
true = np.array([group[name] for name in true_class[real]])
found = np.array(
    [
        ["AGN", "PSR", "PWN-SNR"].index(name)
        for name in candidates.table["source_class"][real]
    ]
)
print(
    f"{real.sum()} of {len(candidates)} candidates are real, "
    f"{np.sum(true == found)} classes are right"
)
print("share of each true class (rows: AGN, PSR, PWN-SNR) that is called each class:")
print(np.round(confusion(true, found, 3), 2))

# %%
# Light curves and spectra
# ------------------------
#
# The classes come from these: fluxes in bands, and in years.

candidates = candidates.with_fluxes(DLFluxEstimator().run(datasets, candidates))
light_curves = DLLightCurveEstimator().run(datasets, candidates)

# %%
# One source of each class with its sky, spectrum, light curve and probabilities; the
# curve is the spectrum that is common for the class.

near = np.where(real, true_class, "")
chosen = [
    np.flatnonzero(near == name)[0]
    for name in ("fsrq", "bll", "psr", "pwn")
    if np.any(near == name)
]
plot_classified(candidates[np.array(chosen)], datasets, light_curves)
plt.show()

# %%
# Models with the spectrum of the class, log-parabolas and cut-off power laws, are where
# a fit starts.

print(candidates.to_models()[int(chosen[-1])])
