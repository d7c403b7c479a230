# Licensed under a 3-clause BSD style license - see LICENSE
"""Fields of the CTAO Galactic Plane Survey, simulated with Gammapy from its pointings and sky model.

Sources are the models of the survey, and Gammapy predicts their counts, with energy dispersion and the point
spread function of each place; none of this is the training's simulator. The interstellar emission is the
Fermi-LAT's above 20 GeV, extrapolated with an index of 2.7: no template of the training.
"""

import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from gammapy.datasets import MapDataset
from gammapy.maps import HpxGeom, HpxNDMap, Map, MapAxis, WcsGeom
from gammapy.modeling.models import (
    DiskSpatialModel,
    GaussianSpatialModel,
    Models,
    PointSpatialModel,
    PowerLawSpectralModel,
    ShellSpatialModel,
    SkyModel,
    TemplateSpatialModel,
)

from gammapy_asid.simulation.gps_xml import read_ctools_xml
from gammapy_asid.simulation.pointings import read_pointings
from gammapy_asid.simulation.shapes import shell_size
from gammapy_asid.simulation.survey_dataset import survey_dataset

from ..common import arguments

__all__ = ["FIELDS", "emission_model", "load_field", "simulate_field", "source_width"]

NEEDS = "data and the files of the sky model of the CTAO's plane survey, an hour"

#: Galactic longitudes of the centres of the fields in deg; all of them are at latitude 0.
FIELDS = (-52, -40, -28, -16, 0, 12, 24, 36)
WIDTH, PIXEL_SIZE = (8.0, 5.0), 0.04
EDGES = (0.03, 0.05, 0.1, 0.17, 0.3, 0.55, 1.0, 1.8, 3.0, 5.5, 10.0, 30.0, 100.0)
#: Photon flux above 1 TeV in 1 / (cm2 s) below which no survey sees a source.
FAINTEST = 1e-15
#: Emission of the LAT in 20-1000 GeV: counts over exposure in cm2 s, and the index beyond.
EMISSION_FILE, EMISSION_EXPOSURE, EMISSION_INDEX = (
    "asid_iemv07plusigrb_ucvfront_9p5yr_nside256_ebin4.npy",
    5e11,
    2.7,
)


def empty_dataset(center, pointings, name):
    """Dataset without counts of the pointings of the south that see a field."""
    axis = MapAxis.from_energy_edges(EDGES * u.TeV)
    true_axis = MapAxis.from_energy_bounds(0.02, 200, 8, unit="TeV", per_decade=True, name="energy_true")
    geom = WcsGeom.create(
        skydir=center, width=WIDTH, binsz=PIXEL_SIZE, frame="galactic", proj="CAR", axes=[axis]
    )
    own = pointings[pointings["site"] == "South"]
    return survey_dataset(geom, true_axis, own["position"], own["livetime"], "prod5-south", name)


def emission_model(geom, folder):
    """Interstellar emission around a field."""
    hpx = HpxGeom.create(nside=256, frame="galactic", nest=False)
    counts = np.load(folder / "lat/iem" / EMISSION_FILE).astype(float)
    intensity = counts / EMISSION_EXPOSURE / hpx.solid_angle().to_value("sr")
    image = geom.to_image()
    wide = WcsGeom.create(
        skydir=image.center_skydir,
        width=(WIDTH[0] + 4, WIDTH[1] + 4),
        binsz=0.1,
        frame="galactic",
        proj="CAR",
    )
    data = HpxNDMap(hpx, intensity).interp_by_coord(wide.get_coord())
    template = TemplateSpatialModel(Map.from_geom(wide, data=data, unit="sr-1"), normalize=False)
    spectrum = PowerLawSpectralModel(index=EMISSION_INDEX, reference="1 TeV", amplitude="1 cm-2 s-1 TeV-1")
    spectrum.amplitude.value = 1 / spectrum.integral(20 * u.GeV, 1 * u.TeV).to_value("cm-2 s-1")
    return SkyModel(spectral_model=spectrum, spatial_model=template, name="emission")


def source_width(model):
    """Root mean square of a model's extent along one axis in deg, NaN for maps."""
    shape = model.spatial_model
    if isinstance(shape, PointSpatialModel):
        return 0.0
    if isinstance(shape, GaussianSpatialModel):
        return shape.sigma.quantity.to_value("deg") * (1 - shape.e.value**2) ** 0.25
    if isinstance(shape, DiskSpatialModel):
        return shape.r_0.quantity.to_value("deg") / 2
    if isinstance(shape, ShellSpatialModel):
        return shell_size((shape.radius.quantity + shape.width.quantity).to_value("deg"))
    template = shape.map.sum_over_axes(keepdims=False) if shape.map.geom.axes else shape.map
    weight = template.data * template.geom.solid_angle().to_value("sr")
    separation = template.geom.separation(template.geom.center_skydir).deg
    return float(np.sqrt(np.nansum(weight * separation**2) / np.nansum(weight) / 2))


def _near(model, center):
    """Whether a source shines into a field."""
    position = model.position.galactic
    lon = np.abs(position.l.wrap_at("180d").deg - center.l.wrap_at("180d").deg)
    reach = np.array(WIDTH) / 2 + 0.5 + 2 * source_width(model)
    return lon < reach[0] and np.abs(position.b.deg) < reach[1]


def simulate_field(lon, models, pointings, folder, seed):
    """Simulate one field.

    Parameters
    ----------
    lon : float
        Galactic longitude of the centre in deg.
    models : `~gammapy.modeling.models.Models`
        Sky model.
    pointings : `~astropy.table.QTable`
        Result of `~gammapy_asid.simulation.pointings.read_pointings`.
    folder : path
        Data folder.
    seed : int
        Seed of the counts.

    Returns
    -------
    dataset : `~gammapy.datasets.MapDataset`
        Counts; the background is that of the instrument. The interstellar emission is its only model.
    truth : `~astropy.table.QTable`
        Sources: name, position, ``width``, photon ``flux`` above 1 TeV, ``significance``: expected standard
        deviations, each alone on background and emission.
    """
    center = SkyCoord(lon, 0, unit="deg", frame="galactic")
    dataset = empty_dataset(center, pointings, f"gps{lon:+d}")
    emission = emission_model(dataset.counts.geom, folder)
    dataset.models = Models([emission])
    known = dataset.npred().data
    total, rows = known.copy(), []
    for model in models:
        if not _near(model, center):
            continue
        flux = _flux(model)
        if flux < FAINTEST:
            continue
        dataset.models = Models([model])
        counts = dataset.npred_signal().data * dataset.mask_safe.data
        total += counts
        significance = np.sqrt(np.sum(counts[known > 0] ** 2 / known[known > 0]))
        position = model.position.galactic
        width = source_width(model)
        rows.append((model.name, position.l.deg, position.b.deg, width, flux, significance, counts.sum()))
    dataset.models = Models([emission])
    dataset.counts.data = (
        np.random.default_rng(seed).poisson(total * dataset.mask_safe.data).astype(np.float32)
    )
    names = ("name", "glon", "glat", "width", "flux", "significance", "counts")
    return dataset, QTable(rows=rows, names=names, units=("", "deg", "deg", "deg", "cm-2 s-1", "", ""))


def _flux(model):
    """Photon flux above 1 TeV in 1 / (cm2 s)."""
    try:
        return model.spectral_model.integral(1 * u.TeV, 100 * u.TeV).to_value("cm-2 s-1")
    except u.UnitConversionError:
        # A cube: its spectrum is that of the sum over the map.
        cube = model.spatial_model.map
        energy = cube.geom.axes["energy_true"].center.to_value("TeV")
        dnde = (cube.quantity * cube.geom.solid_angle()).sum(axis=(1, 2)).to_value("cm-2 s-1 TeV-1")
        above = energy >= 1
        return float(np.trapezoid((dnde * energy)[above], np.log(energy[above])))


def load_field(lon, folder):
    """Dataset and truth of a field that `main` has written."""
    dataset = MapDataset.read(Path(folder) / f"gps{lon:+d}.fits.gz", name=f"gps{lon:+d}")
    return dataset, QTable.read(Path(folder) / f"gps{lon:+d}-truth.fits")


def parser():
    """Arguments."""
    own = arguments(__doc__, data=True)
    own.add_argument("output", type=Path, help="folder of the fields")
    own.add_argument("--files", required=True, help="folder of the unpacked files of the sky model")
    own.add_argument("--fields", type=int, nargs="*", default=FIELDS, help="longitudes in deg")
    return own


def main(args=None):
    """Simulate the fields and write them."""
    args = parser().parse_args(args)
    args.output.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = read_ctools_xml(args.data / "cta/models_gps.xml", args.files, on_error="warn")
    pointings = read_pointings(args.data / "cta/GPS_pointings.dat")
    for lon in args.fields:
        dataset, truth = simulate_field(lon, models, pointings, args.data, seed=1000 + lon)
        dataset.models = None
        dataset.write(args.output / f"gps{lon:+d}.fits.gz", overwrite=True)
        truth.write(args.output / f"gps{lon:+d}-truth.fits", overwrite=True)
        print(
            f"{lon:+d}: {dataset.counts.data.sum():.0f} counts, {len(truth)} sources, "
            f"{np.sum(truth['significance'] > 5)} above 5 sigma",
            flush=True,
        )


if __name__ == "__main__":
    main()
