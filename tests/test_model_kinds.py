# Licensed under a 3-clause BSD style license - see LICENSE
"""Models of every kind on a dataset are known sky in every path."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.maps import HpxGeom, Map, MapAxis, WcsGeom
from gammapy.modeling.models import (
    ConstantSpatialModel,
    DiskSpatialModel,
    FoVBackgroundModel,
    GaussianSpatialModel,
    Models,
    PiecewiseNormSpectralModel,
    PointSpatialModel,
    PowerLawSpectralModel,
    ShellSpatialModel,
    SkyModel,
    TemplateNPredModel,
    TemplateSpatialModel,
)

from gammapy_asid import CandidateFitEstimator, Candidates, DLFluxEstimator, DLSkySurvey, DLSourceDetector
from gammapy_asid.inputs import to_band_cube
from gammapy_asid.inputs.expected_counts import expected_counts
from gammapy_asid.survey import TileCutter

HERE, BESIDE = SkyCoord([83, 82], [22, 21], unit="deg")
FLUX = 4e-9


def law(amplitude="2e-9 cm-2 s-1 GeV-1"):
    return PowerLawSpectralModel(index=2, amplitude=amplitude, reference="1 GeV")


def at(kind, **parameters):
    place = kind(lon_0=BESIDE.ra, lat_0=BESIDE.dec, frame="icrs", **parameters)
    return [SkyModel(law(), place, name="known")]


def template(dataset):
    return TemplateNPredModel(dataset.background * 0.3, name="template", datasets_names=["lat"])


def whole_sky(dataset):
    axis = MapAxis.from_nodes([0.5, 200], unit="GeV", name="energy_true", interp="log")
    sky = Map.from_geom(WcsGeom.create(binsz=2, proj="CAR", frame="galactic", axes=[axis]), unit="sr-1")
    sky.data += 1 + np.cos(sky.geom.get_coord().lat).value
    spectrum = law("3e-7 cm-2 s-1 GeV-1")
    return [SkyModel(spectrum, TemplateSpatialModel(sky, normalize=False), name="whole sky")]


def without_response(dataset):
    model = at(GaussianSpatialModel, sigma=0.5 * u.deg)[0]
    model.apply_irf = {"exposure": True, "psf": False, "edisp": False}
    return [model]


def linked(dataset):
    first, second = at(PointSpatialModel)[0], at(DiskSpatialModel, r_0=0.4 * u.deg)[0].copy(name="second")
    second.spectral_model.index = first.spectral_model.index
    first.spectral_model.amplitude.frozen = True
    return [first, second]


def piecewise(dataset):
    norms = PiecewiseNormSpectralModel([1, 10, 100] * u.GeV, norms=[1.2, 1.0, 0.8] * u.one)
    return [FoVBackgroundModel(spectral_model=norms, dataset_name="lat")]


def tilted(dataset):
    model = FoVBackgroundModel(dataset_name="lat")
    model.spectral_model.norm.value, model.spectral_model.tilt.value = 1.1, 0.1
    return [model, *at(PointSpatialModel)]


def others(dataset):
    """One of two models belongs to another dataset."""
    models = [*at(PointSpatialModel), at(DiskSpatialModel, r_0=0.5 * u.deg)[0].copy(name="other")]
    models[0].datasets_names, models[1].datasets_names = ["lat"], ["another"]
    return models


KINDS = {
    "background": tilted,
    "piecewise": piecewise,
    "counts": lambda dataset: [template(dataset)],
    "counts and point": lambda dataset: [template(dataset), *at(PointSpatialModel)],
    "isotropic": lambda _: [
        SkyModel(law("1e-7 cm-2 s-1 GeV-1"), ConstantSpatialModel(value="1 sr-1"), name="isotropic")
    ],
    "whole sky": whole_sky,
    "point": lambda _: at(PointSpatialModel),
    "disk": lambda _: at(DiskSpatialModel, r_0=0.6 * u.deg),
    "gauss": lambda _: at(GaussianSpatialModel, sigma=0.4 * u.deg),
    "shell": lambda _: at(ShellSpatialModel, radius=0.4 * u.deg, width=0.2 * u.deg),
    "without response": without_response,
    "linked": linked,
    "others": others,
}


@pytest.fixture(params=KINDS)
def field(request, lat_field):
    """Dataset with known models, its counts with one source more; and what Gammapy expects of the known."""
    # In a tangential projection Gammapy loses models that are centred beyond its horizon
    dataset = lat_field(WcsGeom.create(skydir=HERE, npix=(64, 60), binsz=0.1, proj="ZEA"))
    known = Models(KINDS[request.param](dataset))
    spectrum = law(FLUX / (0.99 * u.GeV) / u.Unit("cm2 s"))
    dataset.models = [*known, SkyModel(spectrum, PointSpatialModel.from_position(HERE), name="source")]
    dataset.counts.data = np.random.default_rng(1).poisson(dataset.npred().data).astype(float)
    dataset.models = known
    return dataset, dataset.npred()


def candidates():
    axes = np.full((1, 2), 0.05) * u.deg
    return Candidates.from_positions(HERE.reshape(1), [0.9], axes, 2 * axes)


def test_prediction_is_that_of_gammapy(field):
    dataset, expected = field
    np.testing.assert_allclose(expected_counts(dataset), expected.data, rtol=1e-6, atol=1e-8)
    cube = to_band_cube(dataset)
    assert sum(np.sum(image) for image in cube.background) == pytest.approx(expected.data.sum(), rel=1e-5)


def test_fit(field):
    dataset, _ = field
    names = dataset.models.names
    row = CandidateFitEstimator().run(dataset, candidates()).table[0]
    assert row["flags"] == 0
    assert abs(row["fit_flux"].value - FLUX) < 3 * row["fit_flux_err"].value
    assert row["fit_flux_err"].value < 0.15 * FLUX
    assert dataset.models.names == names


def test_tile(field):
    dataset, expected = field
    (part,) = TileCutter(dataset).cut(HERE, 2)
    own = expected_counts(part)
    cut = expected.cutout(part.counts.geom.center_skydir, part.counts.geom.width[:, 0].to("deg"))
    assert cut.data.shape == own.shape
    inside = part.mask_safe.data & (part.counts.geom.to_image().separation(HERE) < 1.4 * u.deg)
    # Sources in the tile and around it; the same but for what shines in from beyond
    np.testing.assert_allclose(own[inside], cut.data[inside], rtol=0.02)


def test_coarse_exposure(field):
    dataset, expected = field
    axis = dataset.exposure.geom.axes["energy_true"]
    geom = WcsGeom.create(skydir=HERE, width=20, binsz=1, proj="CAR", axes=[axis])
    dataset.exposure = Map.from_geom(geom, unit="m2 s", data=3e7)
    np.testing.assert_allclose(expected_counts(dataset), expected.data, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    "image",
    [
        HpxGeom.create(nside=256, frame="icrs", region="DISK(83,22,4)"),
        WcsGeom.create(skydir=HERE, width=8, binsz=(0.15, 0.3), proj="TAN"),
    ],
    ids=["HEALPix", "oblong"],
)
@pytest.mark.parametrize("kind", ["point", "whole sky", "background", "isotropic"])
def test_other_pixels(lat_field, image, kind):
    # Gammapy's diffuse models fade towards the edge of a map
    around, reach = (BESIDE, 1.6 * u.deg) if kind == "point" else (HERE, 1 * u.deg)
    density = []
    for pixels in (None, image):
        dataset = lat_field(pixels)
        dataset.models = KINDS[kind](dataset)
        geom = dataset.counts.geom.to_image()
        inside = geom.get_coord().skycoord.separation(around) < reach
        area = np.broadcast_to(geom.solid_angle().to_value("sr"), inside.shape)[inside].sum()
        density.append(expected_counts(dataset)[:, inside].sum(axis=1) / area)
    np.testing.assert_allclose(*density, rtol=0.03)


@pytest.mark.parametrize("kind", ["counts and point", "background", "isotropic"])
def test_networks_and_surveys(lat_field, toy_model, kind):
    dataset = lat_field()
    dataset.models = KINDS[kind](dataset)
    detector = DLSourceDetector(toy_model)
    assert detector.run(dataset).meta["background"]
    fluxes = DLFluxEstimator(toy_model)
    assert np.isfinite(fluxes.run(dataset, HERE).table["flux"]).all()
    assert DLSkySurvey(detector, fluxes).run(dataset) is not None


def test_template_of_other_pixels_is_refused(lat_field):
    dataset = lat_field()
    other = lat_field(WcsGeom.create(skydir=HERE, npix=(64, 60), binsz=0.11, proj="TAN"))
    dataset.models = [TemplateNPredModel(other.background, name="template")]
    with pytest.raises(ValueError, match="model 'template' does not fit the counts"):
        CandidateFitEstimator().run(dataset, candidates())
