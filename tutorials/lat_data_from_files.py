# Licensed under a 3-clause BSD style license - see LICENSE
"""
Start from files of the Fermi tools
===================================

From a counts cube, an exposure, a PSF and an emission model to a list of sources.

Context
-------

An analysis with the Fermi tools ends with files: ``gtbin`` writes a counts cube,
``gtexpcube2`` an exposure, ``gtpsf`` a point spread function. The mission gives models
of the interstellar and of the isotropic emission. Together they are all that a
`~gammapy.datasets.MapDataset` needs.

**Objective: make a dataset of such files and find its sources.**

Proposed approach
-----------------

We take the Galactic centre above 10 GeV from Gammapy's data collection. Where
``GAMMAPY_DATA`` leads to no such files, a simulated field is written in the same
formats.
"""

import os
import tempfile
from pathlib import Path

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable
from gammapy.maps import Map, MapAxis, WcsGeom

from gammapy_asid import DLSourceDetector
from gammapy_asid.inputs import dataset_from_files
from gammapy_asid.plots import plot_field
from gammapy_asid.simulation import analytic_emission, draw_sky, simulate_dataset
from gammapy_asid.simulation.sky_grid import INTERVALS

# %%
# Five files
# ----------
#
# This is how such files look. With files of your own, leave the function out.


def write_simulated(folder):
    """Write the files of a simulated field, and return their names."""
    rng = np.random.default_rng(3)
    center = SkyCoord(75, 25, unit="deg", frame="galactic")
    sky = analytic_emission()
    dataset = simulate_dataset(
        center, (10 * u.deg, 10 * u.deg), draw_sky(rng), sky, rng=rng
    )
    # Counts cube and exposure
    dataset.counts.write(folder / "ccube.fits")
    dataset.exposure.write(folder / "bexpmap.fits")
    # PSF in the middle of the field: a table over energy and angle
    axes = dataset.psf.psf_map.geom.axes
    energy, angle = axes["energy_true"].center, axes["rad"].center
    place = {"skycoord": center, "energy_true": energy[:, None], "rad": angle[None]}
    psf = dataset.psf.psf_map.interp_by_coord(place)
    exposure = np.ones(len(energy)) * u.Unit("cm2 s")
    table = QTable({"Energy": energy.to("MeV"), "Exposure": exposure, "Psf": psf})
    theta = QTable({"Theta": angle.to("deg")})
    tables = [
        fits.BinTableHDU(table, name="PSF"),
        fits.BinTableHDU(theta, name="THETA"),
    ]
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(folder / "psf.fits")
    # Interstellar emission: intensities of the whole sky at the middle of intervals
    edges = np.asarray(INTERVALS)
    middle = np.sqrt(edges[1:] * edges[:-1])
    axis = MapAxis.from_nodes(middle, interp="log", unit="GeV", name="energy_true")
    emission = Map.from_geom(
        WcsGeom.create(binsz=2, proj="CAR", frame="galactic", axes=[axis]),
        unit="cm-2 s-1 GeV-1 sr-1",
    )
    position = emission.geom.to_image().get_coord().skycoord
    intensity = sky.interpolate(position.l.deg, position.b.deg) / np.diff(edges)
    emission.data = np.moveaxis(intensity, -1, 0)
    emission.write(folder / "emission.fits")
    names = ("ccube.fits", "bexpmap.fits", "psf.fits", "emission.fits")
    return [folder / name for name in names]


data = Path(os.environ.get("GAMMAPY_DATA", ""))
field = data / "fermi-3fhl-gc"
isotropic = None
if (field / "fermi-3fhl-gc-counts-cube.fits.gz").is_file():
    counts = field / "fermi-3fhl-gc-counts-cube.fits.gz"
    exposure = field / "fermi-3fhl-gc-exposure-cube.fits.gz"
    psf = field / "fermi-3fhl-gc-psf-cube.fits.gz"
    emission = field / "gll_iem_v06_gc.fits.gz"
    if (data / "fermi_3fhl/iso_P8R2_SOURCE_V6_v06.txt").is_file():
        isotropic = data / "fermi_3fhl/iso_P8R2_SOURCE_V6_v06.txt"
else:
    files = write_simulated(Path(tempfile.mkdtemp()))
    counts, exposure, psf, emission = files

for path in (counts, exposure, psf, emission, isotropic):
    print(path.name if path else "no isotropic emission")

# %%
# One dataset from five files
# ---------------------------
#
# The background is the emission, integrated over each bin of energy. The counts may
# also be a list of events, with ``energy_range=[10, 500] * u.GeV``.

dataset = dataset_from_files(
    counts, exposure, psf, emission=emission, isotropic=isotropic
)
print(dataset)

# %%
# Does the background fit? Its counts should be a little below those of the data, since
# sources are not in it. Here are both in each bin of energy.

observed = dataset.counts.data.sum(axis=(1, 2))
expected = dataset.background.data.sum(axis=(1, 2))
axis = dataset.counts.geom.axes["energy"]
for low, high, one, other in zip(
    axis.edges_min, axis.edges_max, observed, expected, strict=True
):
    print(
        f"{low.to_value('GeV'):6.1f} to {high.to_value('GeV'):6.1f} GeV: "
        f"{one:7.0f} counts, {other:9.1f} expected"
    )

# %%
# Detection
# ---------
#
# The level of the background is corrected to the data before the search.

candidates = DLSourceDetector(model="lat", threshold=0.5).run(dataset)
print(candidates)
plot_field(candidates, dataset)
plt.show()

# %%
# To keep the dataset for later: ``dataset.write("field.fits.gz")``. On the command line
# one command does all of it, with fits and a catalogue at the end::
#
#     gammapy-asid catalog --counts ccube.fits --exposure bexpmap.fits \
#         --psf psf.fits --emission gll_iem_v07.fits \
#         --isotropic iso_P8R3_SOURCE_V3_v1.txt --output catalogue.fits
