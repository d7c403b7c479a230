# Licensed under a 3-clause BSD style license - see LICENSE
"""The classifier that ships, on data of other telescopes than that of most of its training."""

import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap, PSFMap
from gammapy.maps import Map, MapAxis, WcsGeom
from gammapy.modeling.models import (
    GaussianSpatialModel,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
)

from gammapy_asid import DLExtensionClassifier
from gammapy_asid.catalog.columns import CandidateFlag

PLACE = {"lon_0": 83.6 * u.deg, "lat_0": 22 * u.deg, "frame": "icrs"}


@pytest.fixture(scope="module")
def classifier():
    return DLExtensionClassifier()


def observed(spatial, psf_sigma, seed=0):
    """Field of 1-100 TeV on pixels of 0.05 deg, with a source of 1300 photons."""
    energy = MapAxis.from_energy_bounds("1 TeV", "100 TeV", nbin=8)
    true = MapAxis.from_energy_bounds("0.6 TeV", "160 TeV", nbin=16, name="energy_true")
    geom = WcsGeom.create(skydir=(83.6, 22), width=4, binsz=0.05, frame="icrs", axes=[energy])
    level = 0.5 * (energy.center.to_value("TeV") / 1.3) ** -1.8
    exposure = Map.from_geom(geom.to_image().to_cube([true]), unit="cm2 s")
    exposure.data += 7e13
    dataset = MapDataset(
        counts=Map.from_geom(geom),
        background=Map.from_geom(geom, data=np.broadcast_to(level[:, None, None], geom.data_shape).copy()),
        exposure=exposure,
        psf=PSFMap.from_gauss(true, sigma=psf_sigma * u.deg),
        edisp=EDispKernelMap.from_diagonal_response(energy, true),
        name="field",
    )
    law = PowerLawSpectralModel(index=2.6, amplitude="3e-11 cm-2 s-1 TeV-1", reference="1 TeV")
    dataset.models = [SkyModel(law, spatial, name="source")]
    expected = dataset.npred().data
    dataset.models = None
    dataset.counts.data = np.random.default_rng(seed).poisson(expected).astype(float)
    return dataset


@pytest.mark.parametrize("psf_sigma", [0.03, 0.08, 0.14])
def test_points_are_points_and_wide_sources_are_wide(classifier, psf_sigma):
    position = SkyCoord([83.6], [22], unit="deg")
    for seed in range(3):
        dataset = observed(PointSpatialModel(**PLACE), psf_sigma, seed)
        row = classifier.run(dataset, position).table[0]
        assert row["flags"] == 0
        assert row["extended_prob"] < 0.5
        assert row["extension_class"] == "C0"
    dataset = observed(GaussianSpatialModel(sigma=0.3 * u.deg, **PLACE), psf_sigma)
    row = classifier.run(dataset, position).table[0]
    assert row["extended_prob"] > 0.9
    assert row["ext_sigma"].value == pytest.approx(0.3, rel=0.2)


def test_wider_than_trained_is_said(classifier, caplog):
    dataset = observed(PointSpatialModel(**PLACE), 0.4)
    with caplog.at_level(logging.WARNING):
        row = classifier.run(dataset, SkyCoord([83.6], [22], unit="deg")).table[0]
    assert row["flags"] & CandidateFlag.UNTRAINED
    assert "point spread function" in caplog.text


def test_pixels_wider_than_the_point_spread_function(classifier, caplog):
    """On pixels of 0.1 deg a source of 0.15 deg comes out as one of 0.125 deg: this is said."""
    position = SkyCoord([83.6], [22], unit="deg")
    dataset = observed(GaussianSpatialModel(sigma=0.15 * u.deg, **PLACE), 0.03)
    fine = classifier.run(dataset, position).table[0]
    coarse = classifier.run(dataset.downsample(2), position).table[0]
    assert not fine["flags"] & CandidateFlag.UNTRAINED
    assert coarse["flags"] & CandidateFlag.UNTRAINED
    assert "pixels, point spread function or background are outside" in caplog.text
    # The same photons on wide pixels of a wide point spread function are inside
    dataset = observed(GaussianSpatialModel(sigma=0.15 * u.deg, **PLACE), 0.08).downsample(2)
    assert not classifier.run(dataset, position).table["flags"][0] & CandidateFlag.UNTRAINED
