# Licensed under a 3-clause BSD style license - see LICENSE
"""
Judge a detector
================

Measure how pure, how complete and how precise source lists are, and put two methods on
the same page.

Context
-------

A list of candidates is judged by what is true in it and by what it misses, at each
flux, and by whether its positions, fluxes and scores are what they claim to be. That
needs a truth: a simulation, or a catalogue that is deeper than the list.

**Objective: compare the shipped model with the classical map of the test statistic, on
a sky whose sources are known.**

Proposed approach
-----------------

We simulate a field, find its sources twice, and judge both lists with the same rules.
On the command line one line does it::

    gammapy-asid evaluate catalog.fits network=candidates.fits peaks.ecsv \\
        --dataset dataset.fits.gz
"""

import tempfile
from pathlib import Path

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from gammapy_asid import DLFluxEstimator, DLSourceDetector
from gammapy_asid.evaluation import (
    CandidateList,
    Truth,
    evaluate_lists,
    plot_fraction,
    plot_purity_recall,
    plot_threshold,
    ts_map_candidates,
    write_report,
)
from gammapy_asid.simulation import analytic_emission, draw_sky, simulate_dataset

# %%
# The field and its truth
# -----------------------
#
# The truth knows the spectra of its sources, so that fluxes can be compared in any
# range of energies.

rng = np.random.default_rng(9)
catalog = draw_sky(rng)
center = SkyCoord(75, 25, unit="deg", frame="galactic")
dataset = simulate_dataset(
    center, (18 * u.deg, 18 * u.deg), catalog, analytic_emission(), rng=rng
)
truth = Truth.from_catalog(catalog, energy_range=(1, 100))

# %%
# Two lists
# ---------
#
# The network is asked for everything, also for what it does not believe in: a curve of
# purity and recall needs the whole range of scores.

candidates = DLSourceDetector(model="lat", threshold=0.05).run(dataset)
candidates = candidates.with_fluxes(
    DLFluxEstimator(model="lat").run(dataset, candidates)
)
network = CandidateList.from_candidates(candidates, "network")

# %%
# Gammapy's TS map of the photons above 1 GeV, and its peaks. The score of a list may be
# any number that is higher the more certain a candidate is: here the square root of the
# test statistic.

hard = dataset.slice_by_energy(1 * u.GeV, 1 * u.TeV, name="hard")
peaks = ts_map_candidates(hard, threshold=2, min_distance="0.3 deg")
ts_map = CandidateList.from_table(peaks, "TS map")

# %%
# The verdict
# -----------
#
# Only sources and candidates on valid data count. A candidate is real if it claims a
# true source within 0.3 deg. The lists have scores of different kinds: each is cut
# where its purity is 0.9, and then they can be compared.

evaluation = evaluate_lists(
    truth, [network, ts_map], datasets=dataset, radius=0.3, purity=0.9
)
rows = []
for label, numbers in evaluation.metrics()["lists"].items():
    working = numbers["working_threshold"]
    rows.append(
        {
            "list": label,
            "candidates": numbers["candidates"],
            "average precision": numbers["average_precision"],
            "threshold": working["threshold"],
            "purity": working["purity"],
            "completeness": working["completeness"],
            "offset 68 %": working["offset_68"],
        }
    )
table = Table(rows)
for name in table.colnames[2:]:
    table[name].info.format = ".3f"
table.pprint(max_width=-1)

# %%
# How much of it could be chance? The share of random positions around the candidates
# that have a true source within the radius tells.

print(f"{evaluation.results[0].chance:.2f} of random positions would be called real")

# %%
# Pictures
# --------
#
# All functions that the page uses can be called alone. First purity against recall, at
# all thresholds.

plot_purity_recall({result.label: result.curve for result in evaluation.results})
plt.show()

# %%
# Completeness against flux, at the working thresholds.

fig, ax = plt.subplots()
for shift, result in zip((-0.1, 0.1), evaluation.results, strict=True):
    plot_fraction(
        evaluation.truth.flux,
        result.found,
        evaluation.edges,
        ax=ax,
        shift=shift,
        label=result.label,
    )
ax.set_ylabel("Completeness")
ax.legend()
plt.show()

# %%
# What a lower threshold buys: sources below the threshold of 4FGL-DR4, and how many
# fakes come with them.

plot_threshold(
    {result.label: result.faint for result in evaluation.results},
    marks={result.label: result.threshold for result in evaluation.results},
)
plt.show()

# %%
# The page
# --------
#
# One HTML file with all pictures inside, and all numbers in ``metrics.json``.

with tempfile.TemporaryDirectory() as folder:
    paths = write_report(
        evaluation, Path(folder) / "report", title="Network and TS map"
    )
    print(sorted(path.name for path in paths.values()))
