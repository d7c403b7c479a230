# Licensed under a 3-clause BSD style license - see LICENSE
"""
Build a catalogue
=================

From maps to a catalogue file: find sources, measure them, fit them, associate them with
known ones.

Context
-------

A list of candidates becomes useful to others as a catalogue: with positions and their
errors, fluxes, a test statistic, names of counterparts, and flags that say where to be
careful, in columns that everybody knows.

**Objective: make a catalogue of a piece of the sky, and read it with Gammapy.**

Proposed approach
-----------------

The sky is cut into overlapping tiles, so that the same lines serve a small field and
the whole sky. We simulate a strip of it, so the truth is known. The known sources that
we associate with are the brightest true ones with errors of their positions, as a
catalogue of fewer years would have them.

On the command line one line does it::

    gammapy-asid catalog dataset.fits.gz --associate known=known.fits \\
        --output catalogue.fits
"""

import tempfile
from pathlib import Path

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from gammapy.maps import WcsGeom

from gammapy_asid import DLSkySurvey, SkyFitEstimator
from gammapy_asid.catalog import (
    CandidateFlag,
    SourceCatalogASID,
    associate,
    write_catalog,
)
from gammapy_asid.plots import plot_field
from gammapy_asid.simulation import analytic_emission, draw_sky
from gammapy_asid.simulation.all_sky import simulate_sky

# %%
# The sky
# -------
#
# A strip of 18 deg by 9 deg in plate carrée above 3 GeV, ten years, photon by photon.
# ``simulate_sky`` takes HEALPix maps and the whole sky as well.

rng = np.random.default_rng(12)
truth = draw_sky(rng)
image = WcsGeom.create(
    skydir=(60, 28), width=(18, 9), binsz=0.1, proj="CAR", frame="galactic"
)
edges = (3, 7, 20, 60, 200)
dataset = simulate_sky(image, truth, analytic_emission(), energy_edges=edges, rng=rng)
print(f"{dataset.counts.data.sum():.0f} photons")


def show(table, *names):
    """Print some columns with few digits."""
    some = table[list(names)]
    for name in names:
        some[name].info.format = ".4g" if some[name].dtype.kind == "f" else None
    some.pprint(max_lines=-1, max_width=-1)


# %%
# Candidates
# ----------
#
# The survey runs the detector and the flux estimator on each tile and joins what two
# tiles see. With ``folder="survey"`` it would keep what is done, and continue there
# after an interruption.

survey = DLSkySurvey(nside=4)
candidates = survey.run(dataset)
show(candidates.table, "name", "score", "pos_err_68", "flux", "flux_err")

# %%
# Likelihood fits
# ---------------
#
# Each candidate is fitted with its neighbours: test statistic, position, spectrum.

fitted = SkyFitEstimator().run(dataset, candidates)
show(fitted.table, "name", "score", "ts", "fit_flux", "fit_index")

# %%
# Association
# -----------
#
# The known sources are a table of positions with error ellipses. Any Gammapy catalogue
# does, for instance ``SourceCatalog4FGL()``.

positions = SkyCoord(truth.lon, truth.lat, unit="deg", frame="galactic")
flux = truth.flux(1, 100)
known = image.contains(positions) & (flux > 3e-10)
error = 0.03
places = positions[known].directional_offset_by(
    rng.uniform(0, 360, known.sum()) * u.deg,
    error * np.sqrt(-2 * np.log(rng.random(known.sum()))) * u.deg,
)
ellipse = np.full(known.sum(), error * np.sqrt(-2 * np.log(0.05)))
table = Table(
    {
        "Source_Name": [f"Known {i}" for i in range(known.sum())],
        "GLON": places.l,
        "GLAT": places.b,
        "Conf_95_SemiMajor": ellipse * u.deg,
        "Conf_95_SemiMinor": ellipse * u.deg,
        "Conf_95_PosAng": np.zeros(known.sum()) * u.deg,
    }
)
associated = associate(fitted, {"known": table})
print(associated.meta["association"]["catalogs"]["known"])

# %%
# Are they right? For each association, the distance from the candidate to the true
# source of that name:

named = associated.table["assoc_name"] != ""
number = [int(name.split()[1]) for name in associated.table["assoc_name"][named]]
separation = associated.positions[named].separation(positions[known][number])
print(
    f"{named.sum()} associated of {known.sum()} known; "
    f"largest distance {separation.deg.max():.2f} deg"
)

# %%
# New are those without a counterpart. Their test statistics say how sure the
# likelihood is of them, and the truth whether they are real.

new = associated[~named]
_, distance, _ = new.positions.match_to_catalog_sky(positions[flux > 1e-11])
for row, real in zip(new.table, distance.deg < 0.3, strict=True):
    verdict = "real" if real else "fake"
    print(f"{row['name']}  score {row['score']:.2f}  TS {row['ts']:5.1f}  {verdict}")

# %%
# The catalogue
# -------------
#
# A FITS file with the columns of 4FGL where the meaning is the same, which Gammapy
# reads.

path = Path(tempfile.mkdtemp()) / "catalogue.fits"
write_catalog(associated, path)
catalog = SourceCatalogASID(path)
show(
    catalog.table,
    "Source_Name",
    "RAJ2000",
    "DEJ2000",
    "Score",
    "TS",
    "Flux",
    "Index",
    "ASSOC1",
)

# %%
# A source has a model and flux points.

brightest = catalog[int(np.nanargmax(catalog.table["TS"]))]
print(brightest.sky_model())

fig, ax = plt.subplots()
ax.xaxis.set_units(u.GeV)
ax.yaxis.set_units(u.Unit("erg cm-2 s-1"))
energies = [3, 200] * u.GeV
brightest.flux_points.plot(ax=ax, sed_type="e2dnde", label="flux estimator")
brightest.spectral_model().plot(
    energies, ax=ax, sed_type="e2dnde", label="likelihood fit"
)
brightest.spectral_model().plot_error(energies, ax=ax, sed_type="e2dnde")
ax.set_title(brightest.name)
ax.legend()
plt.show()

# %%
# Flags say where to be careful:

for flag in CandidateFlag:
    print(f"{flag.name:<20} {np.sum(catalog.table['Flags'] & flag > 0)} sources")

# %%
# The strip with all candidates; crosses are the known sources.

plot_field(associated, dataset, catalog=positions[known])
plt.show()
