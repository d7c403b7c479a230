# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the simulator against Gammapy and against numbers from the spectra."""

from itertools import pairwise

import astropy.units as u
import numpy as np
import pytest
import torch
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap, PSFMap
from gammapy.maps import Map, MapAxis, WcsGeom
from numpy.testing import assert_allclose

from gammapy_asid.inputs.bands import LAT_BANDS, Response
from gammapy_asid.inputs.convert import to_band_cube
from gammapy_asid.inputs.psf import mean_psf, psf_kernels
from gammapy_asid.inputs.rebin import block_sum
from gammapy_asid.simulation.cube import simulate_cube
from gammapy_asid.simulation.diffuse import EmissionModel
from gammapy_asid.simulation.mock_catalog import MockCatalog
from gammapy_asid.simulation.sky import (
    SPECTRAL_PARAMETERS,
    ResponseBank,
    emission_counts,
    interval_weights,
    render_sources,
    source_counts,
)
from gammapy_asid.simulation.sky_grid import INTERVALS, N_LAT, N_LON

EDGES = np.array(LAT_BANDS.edges)
CENTER = (10.0, 40.0)


def make_catalog(lon, lat, amplitude, index, beta=0.0, lambda_=0.0, alpha=1.0):
    n = len(lon)
    columns = np.broadcast_arrays(amplitude, 1.0, index, beta, lambda_, alpha, np.zeros(n))[:-1]
    names = ("amplitude", "reference", "index", "beta", "lambda_", "alpha")
    values = dict(zip(names, (np.array(c, float) for c in columns), strict=True))
    return MockCatalog(np.array(lon), np.array(lat), np.repeat("bll", n), **values)


def spectra_of(catalog):
    return {name: torch.tensor(getattr(catalog, name), dtype=torch.float32) for name in SPECTRAL_PARAMETERS}


@pytest.fixture(scope="module")
def catalog():
    """Hard, soft, curved and cut-off sources at positions within their pixels of no regularity."""
    return make_catalog(
        lon=[10.031, 11.207, 8.913, 10.508, 9.377],
        lat=[40.018, 40.771, 39.204, 39.263, 40.642],
        amplitude=[1e-9, 3e-9, 2e-9, 4e-9, 5e-10],
        index=[1.7, 2.4, 2.7, 1.2, 2.0],
        beta=[0.1, 0.05, 0.3, 0, 0],
        lambda_=[0, 0, 0, 0.4, 0.02],
        alpha=[1, 1, 1, 2 / 3, 1],
    )


@pytest.fixture(scope="module")
def late(response):
    """The instrument from 2 GeV on."""
    e_min = np.where(np.arange(6) < 3, np.nan, response.e_min)
    exposure = np.where(np.isnan(e_min)[:, None], 0, response.exposure)
    return Response(
        **{
            **vars(response),
            "e_min": e_min,
            "e_max": e_min + response.e_max - response.e_min,
            "exposure": exposure,
        }
    )


def make_dataset(binsz, width, edges=EDGES):
    """Gammapy dataset whose exposure and point spread function change by much within a band."""
    axis = MapAxis.from_energy_edges(edges, unit="GeV", name="energy")
    # Gammapy takes the exposure at the centre of a true bin: wide bins would cost it percents.
    bins = [np.geomspace(a, b, int(np.ceil(np.log(b / a) / 0.2)), endpoint=False) for a, b in pairwise(edges)]
    true_axis = MapAxis.from_energy_edges([*np.concatenate(bins), edges[-1]] * u.GeV, name="energy_true")
    geom = WcsGeom.create(skydir=CENTER, width=width, binsz=binsz, frame="galactic", proj="TAN", axes=[axis])
    energy = true_axis.center.to_value("GeV")
    rad_axis = MapAxis.from_bounds(0, 3, 300, unit="deg", name="rad")
    return MapDataset(
        counts=Map.from_geom(geom),
        exposure=Map.from_geom(
            geom.to_image().to_cube([true_axis]),
            data=(1e12 * energy**0.15)[:, None, None] * np.ones(geom.data_shape[1:]),
            unit="cm2 s",
        ),
        psf=PSFMap.from_gauss(true_axis, rad_axis=rad_axis, sigma=np.hypot(0.35 * energy**-0.8, 0.1) * u.deg),
        edisp=EDispKernelMap.from_diagonal_response(axis, true_axis),
    )


@pytest.fixture(scope="module")
def npred(catalog):
    """A dataset and Gammapy's prediction for each source, shape ``(n_bands, ny, nx)`` each."""
    dataset = make_dataset(0.1, 9.6)
    models = catalog.to_models()
    dataset.models = models
    images = [dataset.npred_signal(model_names=[model.name]).data for model in models]
    return dataset, images


@pytest.fixture(scope="module")
def response():
    """An instrument with the exposure and point spread function of a power in energy."""
    n_sub, rad = 3, np.linspace(0, 3, 400)
    edges = EDGES[:-1, None] * (EDGES[1:] / EDGES[:-1])[:, None] ** (np.arange(n_sub) / n_sub)
    sigma = np.hypot(0.35 * edges**-0.8, 0.1)[..., None]
    psf = np.exp(-0.5 * (rad / sigma) ** 2) / (2 * np.pi * np.radians(sigma) ** 2)
    return Response(LAT_BANDS, EDGES[:-1], EDGES[1:], 1e12 * edges**0.1, rad, psf, 0.1)


def test_counts_agree_with_gammapy(npred, catalog):
    dataset, images = npred
    response = to_band_cube(dataset).response
    geom = dataset.counts.geom.to_image()
    bank = ResponseBank([response], half=32)
    n = len(catalog)
    zero, patch = torch.zeros(n, dtype=torch.long), torch.arange(n)
    position = catalog.positions
    x, y = (torch.tensor(v, dtype=torch.float32) for v in geom.coord_to_pix(position))
    counts = source_counts(bank, zero, spectra_of(catalog))
    rendered = render_sources(bank, zero, patch, x, y, counts, geom.data_shape, n)
    for i, image in enumerate(images):
        # What the issue demands of all bands, here of each source.
        found = [float(band[i].sum()) for band in rendered]
        assert_allclose(found, image.sum(axis=(1, 2)), rtol=0.005)
        for band, (ours, level) in enumerate(zip(rendered, LAT_BANDS.levels, strict=True)):
            theirs = block_sum(image[band], 2**level)
            # Gammapy shares a source between the centres of four pixels.
            assert np.abs(ours[i].numpy() - theirs).sum() < 0.15 * theirs.sum()
    cube = simulate_cube(geom, response, catalog)
    assert_allclose([band.sum() for band in cube.counts], np.sum(images, axis=(0, 2, 3)), rtol=0.003)


def test_images_agree_with_gammapy_on_fine_pixels(catalog):
    # Pixels of a quarter width make the sharing of a source between pixels small.
    dataset = make_dataset(0.025, 6.4, edges=EDGES[3:])
    source = catalog.select([1])
    source.lon[:], source.lat[:] = 10.031, 40.077
    dataset.models = source.to_models()
    response = to_band_cube(make_dataset(0.1, 6.4, edges=EDGES[3:])).response
    geom = WcsGeom.create(skydir=CENTER, width=6.4, binsz=0.1, frame="galactic", proj="TAN")
    cube = simulate_cube(geom, response, source)
    for ours, theirs in zip(cube.counts[3:], dataset.npred().data, strict=True):
        theirs = block_sum(theirs, 4)
        assert np.argmax(ours) == np.argmax(theirs)
        assert_allclose(ours.max(), theirs.max(), rtol=0.05)
        # Half a phase is a tenth of the width of the narrowest point spread function here.
        assert np.abs(ours - theirs).sum() < 0.08 * theirs.sum()
    assert not any(band.any() for band in cube.counts[:3])


def test_source_counts_are_flux_times_exposure(response, catalog):
    bank = ResponseBank([response])
    counts = source_counts(bank, torch.zeros(5, dtype=torch.long), spectra_of(catalog))
    assert counts.shape == (5, 6, 3)
    edges = response.sub_edges
    total = np.moveaxis([[catalog.flux(*edges[b, k : k + 2]) for k in range(3)] for b in range(6)], -1, 0)
    # The exposure changes by a tenth of its power within a sub-band: the mean depends on the spectrum.
    assert_allclose(counts, total * response.exposure, rtol=0.08, atol=0.01)
    flat = Response(**{**vars(response), "exposure": np.full_like(response.exposure, 1e12)})
    counts = source_counts(ResponseBank([flat]), torch.zeros(5, dtype=torch.long), spectra_of(catalog))
    assert_allclose(counts, total * 1e12, rtol=2e-3, atol=0.01)


@pytest.mark.parametrize("half", [16, 7])
def test_kernels(response, half):
    kernels = psf_kernels(response, half=half, phases=5)
    assert kernels.shape == (6, 3, 5, 5, 2 * half + 1, 2 * half + 1)
    assert_allclose(kernels.sum((-2, -1)), 1, rtol=1e-5)
    offset = torch.arange(-half, half + 1.0)
    centroid_x, centroid_y = (kernels.sum(axis) @ offset for axis in (-2, -1))
    phase = (torch.arange(5) + 0.5) / 5 - 0.5
    # In the finest bands nothing is cut off; in the others the cut is symmetric to the pixel, not the source.
    fine = slice(4, 6)
    assert_allclose(centroid_x[fine], phase.expand(2, 3, 5, 5), atol=2e-3)
    assert_allclose(centroid_y[fine], phase[:, None].expand(2, 3, 5, 5), atol=2e-3)


def test_kernels_end_with_the_psf(response):
    # 0.8 deg pixels: the fifth is beyond the last tabulated offset of 3 deg.
    kernel = psf_kernels(response, half=8, phases=1)[0, 0, 0, 0]
    assert float(kernel[8, 14:].sum()) == 0
    assert float(kernel[8, 12]) < 1e-3


def test_pixel_integral(response):
    # A Gaussian integrated over pixels is a difference of error functions.
    sigma = float(np.hypot(0.35 * (20 * 50 ** (2 / 3)) ** -0.8, 0.1)) / 0.1
    edges = torch.arange(-16.5, 17) / (sigma * np.sqrt(2))
    column = torch.diff(torch.erf(edges)) / 2
    kernel = psf_kernels(response, phases=5)[5, 2, 2, 2]
    assert_allclose(kernel[12:21, 12:21], torch.outer(column, column)[12:21, 12:21], rtol=0.01, atol=1e-6)


def test_mean_psf_of_one_sub_band_is_itself(response):
    one = Response(**{**vars(response), "exposure": response.exposure[:, :1], "psf": response.psf[:, :1]})
    assert_allclose(mean_psf(one).psf, one.psf)
    assert mean_psf(response).psf.shape == (6, 1, 400)


def test_render_positions(response):
    bank = ResponseBank([response])
    x, y = torch.tensor([20.3, 40.8]), torch.tensor([30.1, 12.6])
    zero = torch.zeros(2, dtype=torch.long)
    counts = torch.full((2, 6, 3), 100.0)
    images = render_sources(bank, zero, torch.tensor([0, 1]), x, y, counts, (64, 64), 2)
    assert [tuple(i.shape) for i in images] == [(2, 64 >> v, 64 >> v) for v in LAT_BANDS.levels]
    grid = torch.arange(64.0)
    for image in images[4:]:
        assert_allclose(image.sum((1, 2)), 300, rtol=1e-3)
        # Positions are exact to half a phase, a tenth of a pixel.
        assert_allclose((image.sum(1) @ grid) / 300, x, atol=0.11)
        assert_allclose((image.sum(2) @ grid) / 300, y, atol=0.11)


def test_sources_shine_over_the_border(response):
    bank = ResponseBank([response])
    zero = torch.zeros(3, dtype=torch.long)
    # Half a source at an edge, a quarter at a corner, to the nearest phase.
    x, y = torch.tensor([-0.5, -40.0, 63.5]), torch.tensor([32.0, 32.0, 63.5])
    counts = torch.full((3, 6, 3), 100.0)
    images = render_sources(bank, zero, torch.arange(3), x, y, counts, (64, 64), 3)
    assert_allclose(images[5].sum((1, 2)), [150, 0, 75], rtol=0.16)


def test_emission_counts(response):
    bank = ResponseBank([response])
    intensity = np.arange(1, len(INTERVALS))[:, None, None] * np.ones((9, 16, 16))
    images = emission_counts(
        bank, torch.zeros(2, dtype=torch.long), torch.tensor(intensity).float().expand(2, 9, 16, 16), (64, 64)
    )
    area = np.radians(6.4) ** 2
    weights = interval_weights(response)
    assert_allclose([i[0].sum() for i in images], weights @ np.arange(1, 10) * area, rtol=1e-4)
    # Bands are unions of intervals: a constant exposure counts each once.
    flat = Response(**{**vars(response), "exposure": np.ones((6, 3))})
    assert_allclose(interval_weights(flat).sum(axis=0), 1, rtol=1e-6)


def test_asimov_cube(response, catalog):
    geom = WcsGeom.create(skydir=CENTER, npix=(97, 90), binsz=0.1, frame="galactic", proj="TAN")
    emission = EmissionModel("flat", np.full((9, N_LAT, N_LON), 1e-7, np.float32))
    cube = simulate_cube(geom, response, catalog, emission)
    assert cube.geom.data_shape == (96, 104)
    assert cube.mask.all()
    solid_angle = cube.geom.solid_angle().to_value("sr").sum()
    background = [b.sum() for b in cube.background]
    assert_allclose(background, interval_weights(response).sum(axis=1) * 1e-7 * solid_angle, rtol=0.002)
    sources = np.array([c.sum() for c in cube.counts]) - background
    exposure = response.exposure.mean(axis=1)
    flux = np.array([catalog.flux(*EDGES[b : b + 2]).sum() for b in range(6)])
    assert_allclose(sources, flux * exposure, rtol=0.15)
    assert sources[0] > 1000


def test_emission_is_blurred(response):
    # A bright line loses height, not photons.
    intensity = np.zeros((9, N_LAT, N_LON), np.float32)
    intensity[:, N_LAT // 2] = 1e-6
    geom = WcsGeom.create(skydir=(0, 0), npix=(96, 96), binsz=0.1, frame="galactic", proj="TAN")
    nobody = make_catalog([], [], 1e-9, 2.0)
    cube = simulate_cube(geom, response, nobody, EmissionModel("line", intensity))
    rows = [b.sum(axis=1) for b in cube.background]
    width = [np.sqrt(np.average((np.arange(len(r)) - (len(r) - 1) / 2) ** 2, weights=r)) for r in rows]
    degrees = np.array(width) * 0.1 * 2 ** np.array(LAT_BANDS.levels)
    assert np.all(np.diff(degrees) < 0)
    assert_allclose(degrees[5], np.hypot(0.1, 0.25 / np.sqrt(6)), rtol=0.1)


def test_poisson_cube(late, catalog):
    geom = WcsGeom.create(skydir=CENTER, npix=(64, 64), binsz=0.1, frame="galactic", proj="TAN")
    emission = EmissionModel("flat", np.full((9, N_LAT, N_LON), 1e-7, np.float32))
    asimov = simulate_cube(geom, late, catalog, emission)
    one, same, other = (
        simulate_cube(geom, late, catalog, emission, rng=np.random.default_rng(s)) for s in (1, 1, 2)
    )
    for band in (3, 4, 5):
        assert_allclose(one.counts[band], same.counts[band])
        assert np.any(one.counts[band] != other.counts[band])
        assert_allclose(one.background[band], asimov.background[band])
        mean = asimov.counts[band].astype(float)
        pull = (one.counts[band].sum() - mean.sum()) / np.sqrt(mean.sum())
        assert abs(pull) < 4
        chi2 = ((one.counts[band] - mean) ** 2 / mean).mean()
        assert_allclose(chi2, 1, atol=5 * np.sqrt(2 / mean.size + np.mean(1 / mean) / mean.size))
        assert_allclose(one.counts[band], np.round(one.counts[band]))


def test_far_side_of_the_sky_is_dark(late):
    geom = WcsGeom.create(skydir=CENTER, npix=(48, 48), binsz=0.1, frame="galactic", proj="TAN")
    antipode = make_catalog([190.0], [-40.0], 1e-6, 2.0)
    assert not any(c.any() for c in simulate_cube(geom, late, antipode).counts)


def test_absent_bands_are_masked(late):
    geom = WcsGeom.create(skydir=CENTER, npix=(48, 48), binsz=0.1, frame="galactic", proj="TAN")
    cube = simulate_cube(
        geom,
        late,
        make_catalog([10.0], [40.0], 1e-9, 2.0),
        EmissionModel("flat", np.ones((9, N_LAT, N_LON), np.float32)),
    )
    assert cube.mask.any(axis=(1, 2)).tolist() == [False] * 3 + [True] * 3
    assert [bool(c.any()) for c in cube.counts] == [False] * 3 + [True] * 3
    assert not any(b.any() for b in cube.background[:3])


def test_distorted_pixels_are_refused(response, catalog):
    geom = WcsGeom.create(skydir=(0, 60), npix=(160, 160), binsz=0.2, frame="galactic", proj="TAN")
    with pytest.raises(ValueError, match="use the projection ZEA"):
        simulate_cube(geom, response, catalog)
