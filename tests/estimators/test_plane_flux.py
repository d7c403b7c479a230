# Licensed under a 3-clause BSD style license - see LICENSE
"""The shipped model of the Galactic plane measures fluxes between 70 GeV and 1 TeV."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap, PSFMap
from gammapy.maps import Map, MapAxis, WcsGeom
from gammapy.modeling.models import Models, PointSpatialModel, PowerLawSpectralModel, SkyModel

from gammapy_asid import DLFluxEstimator, DLSourceDetector

POSITIONS = SkyCoord([0.4, -0.5], [0.2, -0.3], unit="deg", frame="galactic")
FLUX = np.array([4e-11, 1e-11])
RANGE = 70 * u.GeV, 1 * u.TeV


@pytest.fixture(scope="module")
def dataset():
    """Field of 3 deg with two points; exposure and point spread function about those of the CTAO South."""
    energy = MapAxis.from_energy_bounds("0.03 TeV", "100 TeV", 12)
    true = MapAxis.from_energy_bounds("0.03 TeV", "100 TeV", 36, name="energy_true")
    geom = WcsGeom.create(skydir=(0, 0), npix=(76, 76), binsz=0.04, frame="galactic", axes=[energy])
    dataset = MapDataset.create(geom, energy_axis_true=true, name="plane")
    ratio = (true.center / (1 * u.TeV)).to_value("")
    dataset.exposure = Map.from_geom(geom.to_image().to_cube([true]), unit="cm2 s")
    dataset.exposure.data += 4e14 * np.minimum(ratio, 3)[:, None, None] ** 0.8
    dataset.psf = PSFMap.from_gauss(
        true, rad_axis=None, sigma=np.maximum(0.045 * ratio**-0.35, 0.025) * u.deg
    )
    dataset.edisp = EDispKernelMap.from_diagonal_response(energy, true)
    dataset.mask_safe.data |= True
    low, high = (edge.to_value("TeV") for edge in (energy.edges_min, energy.edges_max))
    dataset.background.data += (4.0 * (low**-1.3 - high**-1.3))[:, None, None]
    models = Models()
    for i, (position, flux) in enumerate(zip(POSITIONS, FLUX, strict=True)):
        spectrum = PowerLawSpectralModel(index=2.3, amplitude="1 cm-2 s-1 TeV-1", reference="1 TeV")
        spectrum.amplitude.value = flux / spectrum.integral(*RANGE).to_value("cm-2 s-1")
        models.append(SkyModel(spectrum, PointSpatialModel.from_position(position), name=f"source-{i}"))
    dataset.models = models
    dataset.fake(random_state=2)
    dataset.models = None
    return dataset


def test_sources_and_their_fluxes(dataset):
    candidates = DLSourceDetector(model="cta-gps").run(dataset)
    index, separation, _ = POSITIONS.match_to_catalog_sky(candidates.positions)
    assert np.all(separation < 0.03 * u.deg)
    estimator = DLFluxEstimator(model="cta-gps", e_min=RANGE[0], e_max=RANGE[1])
    table = estimator.run(dataset, candidates).table[index]
    flux, error = (table[name].to_value("cm-2 s-1") for name in ("flux", "flux_err"))
    assert np.all(error < 0.5 * flux)
    assert np.all(np.abs(flux - FLUX) < 3 * error)


def test_range_of_the_data(dataset):
    with pytest.raises(ValueError, match="choose e_min and e_max inside that range"):
        DLFluxEstimator(model="cta-gps", e_min=10 * u.GeV, e_max=1 * u.TeV).run(dataset, POSITIONS)
