# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the instruments that a training for a dataset recognises, and of its extended sources."""

import astropy.units as u
import numpy as np
import pytest
import torch
from gammapy.datasets import MapDataset
from gammapy.irf import PSFMap
from gammapy.maps import Map, MapAxis, WcsGeom
from numpy.testing import assert_allclose

from gammapy_asid.inputs.bands import LAT_BANDS
from gammapy_asid.inputs.bands_of_dataset import bands_for_dataset
from gammapy_asid.inputs.convert import to_band_cube
from gammapy_asid.simulation.dataset_patches import EXTENDED_SHARE, WIDTHS, DatasetSimulator
from gammapy_asid.tasks.detection.simulated_candidates import visible_sources

# 68 % radii of event classes of the LAT in deg at 0.39, 0.7, 1.4, 3.7, 12 and 50 GeV
ENERGIES = (0.39, 0.7, 1.4, 3.7, 12, 50)
RADII = {
    "PSF0": (3.36, 2.34, 1.50, 0.93, 0.51, 0.36),
    "PSF1": (2.04, 1.26, 0.70, 0.35, 0.165, 0.115),
    "PSF2": (1.48, 0.89, 0.48, 0.25, 0.114, 0.072),
    "PSF3": (0.97, 0.57, 0.32, 0.17, 0.078, 0.044),
    "FRONT": (1.33, 0.81, 0.44, 0.23, 0.108, 0.074),
    "BACK": (2.45, 1.55, 0.91, 0.49, 0.235, 0.160),
}


def make_dataset(edges, radius, exposure, rate=1.0, binsz=0.1, npix=64):
    """Flat field; `radius` and `exposure` are functions of the energy in GeV."""
    axis = MapAxis.from_energy_edges(edges * u.GeV)
    true = MapAxis.from_energy_bounds(edges[0] * u.GeV, edges[-1] * u.GeV, 30, name="energy_true")
    energy = true.center.to_value("GeV")
    rad = MapAxis.from_nodes(np.linspace(0, 12, 1200), unit="deg", name="rad")
    geom = WcsGeom.create(skydir=(0, 0), npix=npix, binsz=binsz, frame="galactic", axes=[axis])
    dataset = MapDataset(
        counts=Map.from_geom(geom),
        background=Map.from_geom(geom),
        exposure=Map.from_geom(geom.to_image().to_cube([true]), unit="cm2 s"),
        psf=PSFMap.from_gauss(true, rad_axis=rad, sigma=radius(energy) / 1.51 * u.deg),
        name="field",
    )
    dataset.exposure.data += exposure(energy)[:, None, None]
    dataset.background.data += rate * (axis.edges[:-1] / axis.edges[0]).value[:, None, None] ** -1.7
    dataset.counts.data = np.random.default_rng(0).poisson(dataset.background.data).astype(float)
    return dataset


def lat_exposure(energy):
    return 3e11 * np.clip(energy, 0.1, 1) ** 0.3


def cherenkov(npix=100):
    return make_dataset(
        np.geomspace(300, 3e4, 9), lambda e: 0.1 + 0 * e, lambda e: 1e13 * (e / 300), 0.5, 0.03, npix
    )


@pytest.mark.parametrize(
    ("kind", "edges"),
    [(kind, (0.3, 1000)) for kind in RADII]
    + [("PSF3", (10, 2000)), ("PSF0", (0.1, 100)), ("FRONT", (50, 2000)), ("BACK", (0.1, 2000))],
)
def test_event_classes_of_the_lat(kind, edges):
    def radius(energy):
        return np.exp(np.interp(np.log(energy), np.log(ENERGIES), np.log(RADII[kind])))

    assert bands_for_dataset(make_dataset(np.geomspace(*edges, 13), radius, lat_exposure)) is LAT_BANDS


def test_other_instruments_are_not_the_lat():
    bands = bands_for_dataset(cherenkov())
    assert_allclose(np.array(bands.extents) / bands.pixel_size, (2.5, 6.25))
    # Half an hour of a small telescope: exposures as the LAT's, but rising as no exposure of the LAT does
    short = make_dataset(
        np.geomspace(100, 3000, 9), lambda e: 0.1 + 0 * e, lambda e: 5e10 * (e / 100) ** 1.2, 0.5, 0.03
    )
    assert bands_for_dataset(short).extents
    # A telescope in space with a point spread function of 5 deg
    space = make_dataset(np.geomspace(0.1, 10, 9), lambda e: 5 + 0 * e, lambda e: 1e9 + 0 * e, 0.5, 0.5)
    assert bands_for_dataset(space) != LAT_BANDS
    assert bands_for_dataset(space).extents == ()


def test_extended_sources_in_training():
    dataset = cherenkov()
    cube = to_band_cube(dataset, bands_for_dataset(dataset))
    simulator = DatasetSimulator(cube, size=64)
    patches = simulator.draw(16, 3)
    width = patches.width / simulator.bank.pixel_size[0].float()
    share = float((width > 0).float().mean())
    assert abs(share - EXTENDED_SHARE) < 0.15
    assert WIDTHS[0] <= float(width[width > 0].min()) < float(width.max()) <= WIDTHS[1]
    # Extended sources are as visible as points
    visible = visible_sources(patches, 5.0)
    wide = patches.width > 0
    assert abs(visible[wide].float().mean() - visible[~wide].float().mean()) < 0.25
    # Their photons are in the images
    zero, place, one = torch.zeros(1, dtype=torch.long), torch.tensor([32.0]), torch.ones(1)
    counts = torch.full((1, len(cube.bands)), 100.0)
    for kind in (1, 2, 3):
        for image in simulator.shapes.images(zero, zero + kind, place, place, 4 * one, one, 0 * one, counts):
            assert_allclose(float(image.sum()), 100, rtol=0.05)
            assert float(image.max()) < 5
    none = (v[:0] for v in (zero, zero, place, place, one, one, one, counts))
    assert [len(image) for image in simulator.shapes.images(*none)] == [0] * len(cube.bands)
    assert torch.equal(simulator.draw(4, 5).batch.counts[0], simulator.draw(4, 5).batch.counts[0])
