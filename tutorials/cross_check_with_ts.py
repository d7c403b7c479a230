# Licensed under a 3-clause BSD style license - see LICENSE
"""
Cross-check seeds with TS
=========================

Fit the candidates of the network with the likelihood, put its test statistic beside the
score, and look where the two disagree.

Context
-------

The score of a candidate is the network's probability that it is a point source. The
test statistic (TS) of the likelihood asks how much better the data are described with a
source at that place, given all else in the model. They are different questions. Where
the answers differ, one of the two knows something that the other does not: that is
where to look.

**Objective: test the candidates of a field with the likelihood, and understand the
disagreements.**

Proposed approach
-----------------

We simulate a field with three surprises that no model knows: a source that is not a
point, an excess of the diffuse emission, and a pair of close sources. To run it on real
data, read any `~gammapy.datasets.MapDataset` instead. On the command line::

    gammapy-asid fit dataset.fits.gz --candidates candidates.fits --plot ts.png
"""

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.modeling.models import (
    GaussianSpatialModel,
    Models,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
)

from gammapy_asid import CandidateFitEstimator, DLFluxEstimator, DLSourceDetector
from gammapy_asid.likelihood import disagreements
from gammapy_asid.plots import plot_field, plot_ts_against_score
from gammapy_asid.simulation import analytic_emission, draw_sky, simulate_dataset

# %%
# The field
# ---------
#
# Ten years above 3 GeV, 10 deg by 10 deg.

rng = np.random.default_rng(3)
truth = draw_sky(rng)
center = SkyCoord(75, 20, unit="deg", frame="galactic")
edges = (3, 7, 20, 60, 200)
dataset = simulate_dataset(
    center,
    (10 * u.deg, 10 * u.deg),
    truth,
    analytic_emission(),
    energy_edges=edges,
    rng=rng,
)

# %%
# The surprises are added to the counts only; the background of the dataset does not
# know them.


def source(name, shape, flux, index=2.2):
    """Source with a photon flux above 3 GeV in cm-2 s-1."""
    spectrum = PowerLawSpectralModel(
        index=index, amplitude="1 cm-2 s-1 GeV-1", reference="1 GeV"
    )
    spectrum.amplitude.value = flux / spectrum.integral(
        3 * u.GeV, 200 * u.GeV
    ).to_value("cm-2 s-1")
    return SkyModel(spectral_model=spectrum, spatial_model=shape, name=name)


def place(lon, lat, **kwargs):
    return {"lon_0": lon * u.deg, "lat_0": lat * u.deg, "frame": "galactic"} | kwargs


surprises = Models(
    [
        source(
            "extended", GaussianSpatialModel(**place(72, 22, sigma=0.5 * u.deg)), 1e-9
        ),
        source(
            "cloud",
            GaussianSpatialModel(**place(78, 17.5, sigma=1.5 * u.deg)),
            4e-9,
            index=2.6,
        ),
        source("pair, first", PointSpatialModel(**place(78, 23)), 2e-10),
        source("pair, second", PointSpatialModel(**place(78.3, 23)), 1e-10),
    ]
)
unknown = dataset.copy(name="unknown")
unknown.models = surprises
# Fourier transforms leave tiny negative values
dataset.counts.data += rng.poisson(unknown.npred_signal().data.clip(min=0))

# %%
# Candidates and their fits
# -------------------------
#
# The threshold is low, for the likelihood shall judge doubtful candidates, too. Each
# fit has the other candidates as neighbours, and tests for extension.

candidates = DLSourceDetector(model="lat", threshold=0.3).run(dataset)
candidates = candidates.with_fluxes(
    DLFluxEstimator(model="lat").run(dataset, candidates)
)
fitted = CandidateFitEstimator(width=3 * u.deg, test_extension=True).run(
    dataset, candidates
)

# %%
# What is true? The nearest true source above 2e-11 cm-2 s-1, or the nearest surprise.

positions = SkyCoord(truth.lon, truth.lat, unit="deg", frame="galactic")[
    truth.flux(3, 200) > 2e-11
]
_, distance, _ = fitted.positions.match_to_catalog_sky(positions)
odd = SkyCoord([model.position.galactic for model in surprises])
nearest, away, _ = fitted.positions.match_to_catalog_sky(odd)
for row, is_point, i, far in zip(
    fitted.table, distance.deg < 0.3, nearest, away.deg, strict=True
):
    what = "point" if is_point else surprises[int(i)].name if far < 2 else "nothing"
    print(
        f"{row['name']}  score {row['score']:.2f}  TS {row['ts']:6.1f}  "
        f"TS of extension {row['ts_ext']:5.1f}  {what}"
    )

# %%
# TS against score
# ----------------
#
# Most agree. The lines are where the network and the likelihood are sure.

plot_ts_against_score(fitted, score=0.9, ts=25)
plt.show()

# %%
# The disagreements as a table, to go through one by one.

table = disagreements(fitted, score=0.9, ts=25)[
    "name", "score", "ts", "ts_ext", "fit_index", "judged_real_by"
]
for name in ("score", "ts", "ts_ext", "fit_index"):
    table[name].info.format = ".3g"
table.pprint(max_lines=-1, max_width=-1)

# %%
# Judged real by the likelihood alone (``ts``) are pieces of the extended source, as the
# test statistic of extension tells. Each has photons that the background does not
# explain, so that a point source gains; the network has learned what a point source
# looks like, and doubts them. Neither is wrong. What to do: fit the extended source as
# one.
#
# Judged real by the network alone (``score``) are candidates somewhat below the limit
# of the likelihood: faint sources, and some of the fakes that the unknown cloud makes,
# for it deceives both. What to do: look at the background around them, and at the
# spectrum.
#
# In the picture the pieces lie close together.

plot_field(fitted, dataset)
plt.show()

# %%
# The list above also shows which sources of the close pair were found.
