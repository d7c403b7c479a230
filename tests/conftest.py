# Licensed under a 3-clause BSD style license - see LICENSE
import os

import matplotlib
import pytest

matplotlib.use("agg")
# Tests see the models that ship, whatever folder a user has
os.environ.pop("GAMMAPY_ASID_MODELS", None)

# Several processes with a thread for each core each would wait for one another
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory):
    """Weights and cards of untrained networks for the bands of the model ``lat``."""
    from dataclasses import asdict

    import torch

    from gammapy_asid.inputs.bands import LAT_BANDS
    from gammapy_asid.learning.io import save_model
    from gammapy_asid.learning.model_files import ENSEMBLES, ensemble_path
    from gammapy_asid.tasks.detection.card import DetectionCard
    from gammapy_asid.tasks.detection.network import build_network

    torch.manual_seed(0)
    network = build_network(LAT_BANDS, (4, 4, 4, 4))
    points = [{"threshold": t, "purity": 0.5, "completeness": 0.5} for t in (0.0, 1.0)]
    knots = [(-5.0, -5.0), (5.0, 5.0)]
    card = DetectionCard(
        name="toy",
        version="1",
        architecture=asdict(network.config),
        bands={"edges": LAT_BANDS.edges, "levels": LAT_BANDS.levels},
        pixel_size=(0.05, 0.2),
        psf_r68=[(0.01, 10.0)] * len(LAT_BANDS),
        exposure=[(1e9, 1e13)] * len(LAT_BANDS),
        recipe={},
        recipe_sha256="",
        metrics={},
        calibration={"with_background": knots, "counts_only": knots},
        operating_points={"with_background": points, "counts_only": points},
        package_version="0",
    )
    path = tmp_path_factory.mktemp("model") / "toy.safetensors"
    card = save_model(path, network.state_dict(), card)
    for kind in ENSEMBLES:
        ensemble, ensemble_card = toy_ensemble(card, kind)
        save_model(ensemble_path(path, kind), ensemble.state_dict(), ensemble_card)
    return path


def toy_ensemble(card, kind):
    """Untrained ensemble of a detection model: it leaves the fit as it is."""
    from dataclasses import asdict
    from itertools import product

    from gammapy_asid.inputs.conditioning import n_conditions
    from gammapy_asid.learning.ensembles import Ensemble, EnsembleConfig
    from gammapy_asid.tasks.measurement.calibration import (
        FLUX_LEVELS,
        POSITION_LEVELS,
        SPREADS,
        calibration_key,
    )
    from gammapy_asid.tasks.measurement.card import EnsembleCard
    from gammapy_asid.tasks.measurement.features import n_inputs

    bands = card.to_bands()
    size = n_inputs(bands, n_conditions(bands))
    config = EnsembleConfig(size, 2, 3, 8) if kind == "position" else EnsembleConfig(size + 6, 1, 3, 8)
    ensemble = Ensemble(config)
    for layers in (ensemble.mean, ensemble.spread):
        layers.weights[2].data.zero_()
    if kind == "position":
        levels, calibration = POSITION_LEVELS, {"detected": [(0.0, 2.28, 5.99)]}
    else:
        row = (0.0, -1.96, -1.0, 1.0, 1.96, 1.64, 0.0)
        keys = [calibration_key(*key) for key in product(SPREADS, ("detected", "given"), (False, True))]
        levels, calibration = FLUX_LEVELS, {key: [row] for key in keys}
    fields = {name: getattr(card, name) for name in ("name", "version", "pixel_size", "psf_r68", "exposure")}
    return ensemble, EnsembleCard(
        **fields,
        task=kind,
        architecture=asdict(config),
        bands=card.bands.model_dump(),
        detection_sha256=card.weights_sha256,
        recipe={},
        recipe_sha256="",
        levels=levels,
        calibration=calibration,
        empty_significance=(1.0, 2.0),
        metrics={},
        package_version="0",
    )


@pytest.fixture
def fake_classes(toy_model, monkeypatch):
    """Classifier of sources without a network, which keeps what it is asked.

    A source is an AGN in the east of the field, a pulsar in its middle and a nebula in its west; the logit of
    real is that of the score, and the uppermost third of the field lies outside the training.
    """
    from types import SimpleNamespace

    import numpy as np
    from scipy.special import logit

    from gammapy_asid.learning.io import load_card
    from gammapy_asid.learning.trained import TrainedModel
    from gammapy_asid.tasks.classification.model import ClassificationModel, ClassLogits

    card = load_card(toy_model)

    class Fake(TrainedModel):
        def __init__(self, name):
            self.card = SimpleNamespace(
                **dict(card) | {"name": name, "task": "classification"}, real_share=0.5
            )
            self.card.to_bands = card.to_bands
            self.bands, self.device, self.asked = card.to_bands(), "cpu", []

        def predict(self, cube, x, y, score=None, sigma=None, time=None, given=False):
            asked = {"cube": cube, "x": x, "y": y, "score": score, "sigma": sigma, "time": time}
            self.asked.append(asked | {"given": given})
            ny, nx = cube.geom.data_shape
            classes = 8 * np.eye(3)[np.clip(3 * x / nx, 0, 2).astype(int)]
            real = np.zeros(len(x)) if score is None else logit(np.clip(score, 1e-6, 1 - 1e-6))
            return ClassLogits(real, classes, np.full(len(x), 1.0), y > 2 * ny / 3)

    monkeypatch.setattr(ClassificationModel, "load", lambda model, device=None: Fake(str(model)))
    return Fake


@pytest.fixture(scope="session")
def extension_dataset():
    """Flat TeV field of 64 x 60 pixels of 0.06 deg with a Gaussian PSF, its counts without sources."""
    import astropy.units as u
    import numpy as np
    from gammapy.datasets import MapDataset
    from gammapy.irf import PSFMap
    from gammapy.maps import Map, MapAxis, WcsGeom

    energy = MapAxis.from_energy_bounds("0.1 TeV", "10 TeV", 8)
    true = MapAxis.from_energy_bounds("0.1 TeV", "10 TeV", 40, name="energy_true")
    geom = WcsGeom.create(skydir=(0, 0), npix=(72, 64), binsz=0.06, frame="galactic", axes=[energy])
    dataset = MapDataset.create(geom, energy_axis_true=true, name="extension")
    dataset.exposure = Map.from_geom(geom.to_image().to_cube([true]), unit="cm2 s")
    dataset.exposure.data += 1e14 * (true.center / true.center[0]).value[:, None, None] ** 0.5
    dataset.psf = PSFMap.from_gauss(true, rad_axis=None, sigma=np.full(40, 0.05) * u.deg)
    dataset.edisp = None
    dataset.mask_safe.data |= True
    ratio = (energy.center / energy.center[0]).value[:, None, None]
    dataset.background.data += 4 * ratio**-1.7
    dataset.counts.data = np.random.default_rng(1).poisson(dataset.background.data).astype(float)
    return dataset


@pytest.fixture(scope="session")
def extension_recipe():
    """Recipe of a tiny classifier of extension."""
    from gammapy_asid.learning.recipe import OptimiserRecipe
    from gammapy_asid.simulation.scenes import Scene
    from gammapy_asid.tasks.extension.recipe import ExtensionRecipe

    scene = Scene(
        hours=(0.5, 2.0),
        log_flux=(0.8, 0.5),
        index=(2.3, 0.2),
        size=(0.08, 1.0),
        points=0.25,
        shapes=(0.6, 0.2, 0.2),
        elongation=2.0,
        offset=(0.02, 0.1),
        neighbours=0.5,
        background_error=0.02,
        exact=0.5,
        edges=0.1,
    )
    return ExtensionRecipe(
        name="toy-extension",
        seed=3,
        places=6,
        size=48,
        edges=(0.2, 0.5),
        scenes=(scene,),
        widths=(6, 8, 8, 8),
        hidden=16,
        validation_stamps=32,
        calibration_stamps=400,
        optimiser=OptimiserRecipe(batch_size=32, batches_per_epoch=20, epochs=2, ema_decay=0.8),
    )


@pytest.fixture(scope="session")
def lat_field():
    """Function that makes a field like the LAT's, with a flat background, a Gaussian PSF and no sources."""
    import astropy.units as u
    import numpy as np
    from gammapy.datasets import MapDataset
    from gammapy.irf import EDispKernelMap, PSFMap
    from gammapy.maps import Map, MapAxis, WcsGeom

    energy = MapAxis.from_energy_bounds("1 GeV", "100 GeV", 4)
    true = MapAxis.from_energy_bounds("0.5 GeV", "200 GeV", 8, name="energy_true")
    rad = MapAxis.from_bounds(0, 4, 100, unit="deg", name="rad")
    psf = PSFMap.from_gauss(true, rad_axis=rad, sigma=(0.5 * true.center.value**-0.8 + 0.04) * u.deg)

    def make(geom=None, level=1.0, seed=0, exposure=None, skydir=(83, 22)):
        image = geom or WcsGeom.create(skydir=skydir, npix=(72, 64), binsz=0.1, proj="TAN")
        cube = image.to_cube([energy])
        solid = np.nan_to_num(image.solid_angle().to_value("deg2")) / 0.01
        expected = level * np.geomspace(4, 0.1, 4).reshape(-1, *[1] * len(image.data_shape)) * solid
        if exposure is None:
            exposure = Map.from_geom(image.to_cube([true]), unit="cm2 s")
            exposure.data += 3e11
        return MapDataset(
            counts=Map.from_geom(cube, data=np.random.default_rng(seed).poisson(expected).astype(float)),
            background=Map.from_geom(cube, data=np.broadcast_to(expected, cube.data_shape).copy()),
            exposure=exposure,
            psf=psf,
            edisp=EDispKernelMap.from_diagonal_response(energy, true),
            name="lat",
        )

    return make


@pytest.fixture(scope="session")
def power_law_catalog():
    """Function that makes a mock catalogue of power laws with photon fluxes between 1 and 100 GeV."""
    import numpy as np

    from gammapy_asid.simulation.mock_catalog import MockCatalog

    def make(positions, flux, index=2.3):
        n = len(flux)
        return MockCatalog(
            lon=positions.galactic.l.deg,
            lat=positions.galactic.b.deg,
            source_class=np.array(["bll"] * n),
            amplitude=flux * (index - 1) / (1 - 100 ** (1 - index)),
            reference=np.ones(n),
            index=np.full(n, index),
            beta=np.zeros(n),
            lambda_=np.zeros(n),
            alpha=np.ones(n),
        )

    return make


@pytest.fixture(scope="session")
def make_response():
    """Function that makes a response of the bands of the model ``lat``."""
    import numpy as np

    from gammapy_asid.inputs.bands import LAT_BANDS, Response

    def make(pixel_size, livetime=1.0):
        n_sub, rad = 3, np.linspace(0, 8, 200)
        edges = np.array(LAT_BANDS.edges)
        sub = edges[:-1, None] * (edges[1:] / edges[:-1])[:, None] ** (np.arange(n_sub) / n_sub)
        sigma = np.hypot(0.5 * sub**-0.8, 0.07)[..., None]
        psf = np.exp(-0.5 * (rad / sigma) ** 2) / (2 * np.pi * np.radians(sigma) ** 2)
        exposure = np.full((6, n_sub), livetime * 3e11)
        return Response(LAT_BANDS, edges[:-1], edges[1:], exposure, rad, psf, pixel_size)

    return make


@pytest.fixture(scope="session")
def plane_simulator():
    """Simulator of patches of two fields, with a response like that of the CTAO: the same at all offsets but
    for the effective area."""
    import astropy.units as u
    import numpy as np
    from astropy.coordinates import SkyCoord
    from gammapy.irf import PSF3D, Background2D, EffectiveAreaTable2D
    from gammapy.maps import MapAxis, WcsGeom

    from gammapy_asid.inputs.bands import Bands
    from gammapy_asid.simulation.plane_fields import plane_field
    from gammapy_asid.simulation.plane_patches import PlaneSimulator

    bands = Bands((100.0, 1e3, 1e4, 1e5), (1, 0, 0), 0.04, extents=(0.1, 0.25))
    energy = MapAxis.from_energy_bounds(0.05, 200, 12, unit="TeV", name="energy_true")
    offset = MapAxis.from_edges([0, 1, 2, 3, 4, 5], unit="deg", name="offset")
    area = 2e6 * np.minimum(1, energy.center.value) * np.exp(-((offset.center.value[:, None] / 4) ** 2))
    rad = MapAxis.from_edges(np.linspace(0, 0.6, 61), unit="deg", name="rad")
    sigma = 0.04 * energy.center.value[:, None, None] ** -0.2
    psf = np.exp(-0.5 * (rad.center.value / sigma) ** 2) / (2 * np.pi * np.radians(sigma) ** 2)
    psf = np.broadcast_to(psf, (12, 5, 60))
    seen = MapAxis.from_energy_bounds(0.05, 200, 12, unit="TeV")
    rate = 10.0 * seen.center.value[:, None] ** -2.5 * np.ones(5)
    irf = {
        "aeff": EffectiveAreaTable2D(axes=[energy, offset], data=area.T, unit="m2"),
        "psf": PSF3D(axes=[energy, offset, rad], data=psf, unit="sr-1"),
        "bkg": Background2D(axes=[seen, offset], data=rate, unit="s-1 sr-1 TeV-1"),
    }
    center = SkyCoord(0, 0, unit="deg", frame="galactic")
    geom = WcsGeom.create(skydir=center, width=(5.1, 4.1), binsz=0.04, frame="galactic", proj="TAN")
    pointings = center.directional_offset_by([0, 180] * u.deg, 0.7 * u.deg)
    fields = [
        plane_field(np.random.default_rng(0), irf, bands, energies, geom, pointings, 10 * u.h)
        for energies in ((100.0, 1e3, 1e4, 1e5), (300.0, 1e3, 1e4))
    ]
    return PlaneSimulator(fields, size=32, background_share=0.5)


@pytest.fixture(scope="session")
def tiny_recipe():
    """Recipe of a tiny detection network."""
    from gammapy_asid.learning.recipe import OptimiserRecipe
    from gammapy_asid.tasks.detection.recipe import DetectionRecipe

    return DetectionRecipe(
        name="tiny",
        seed=5,
        patch_size=32,
        widths=(4, 4, 4, 4),
        validation_patches=4,
        optimiser=OptimiserRecipe(batch_size=2, batches_per_epoch=4, epochs=2, precision="32-true"),
    )


@pytest.fixture(scope="session")
def gev_sky():
    """Three sources on a flat background between 1 and 100 GeV, as models, data and candidates."""
    return GeVSky()


class GeVSky:
    #: Energy range in GeV, of the data and of the fluxes.
    energy = (1, 100)

    def __init__(self):
        import numpy as np
        from astropy.coordinates import SkyCoord

        self.positions = SkyCoord([10.0, 10.52, 9.1], [0.0, 0.21, -0.6], unit="deg", frame="galactic")
        #: Photon fluxes in cm-2 s-1.
        self.flux = np.array([8e-9, 4e-9, 3e-9])

    def sources(self, n):
        """Models of the first ``n`` sources."""
        return [self.source(*pair) for pair in zip(self.positions[:n], self.flux[:n], strict=True)]

    def source(self, position, flux, shape=None, index=2.2, name=None):
        """Model of one source with a power law."""
        import astropy.units as u
        from gammapy.modeling.models import PointSpatialModel, PowerLaw2SpectralModel, SkyModel

        low, high = self.energy * u.GeV
        spectrum = PowerLaw2SpectralModel(amplitude=flux / u.Unit("cm2 s"), index=index, emin=low, emax=high)
        shape = shape or PointSpatialModel.from_position(position)
        return SkyModel(spectral_model=spectrum, spatial_model=shape, name=name)

    def dataset(self, models, width=5):
        """Counts of the models and of a flat background, seen with a PSF of 0.1 deg."""
        import astropy.units as u
        import numpy as np
        from astropy.coordinates import SkyCoord
        from gammapy.datasets import MapDataset
        from gammapy.irf import EDispKernelMap, PSFMap
        from gammapy.maps import Map, MapAxis, WcsGeom
        from gammapy.modeling.models import FoVBackgroundModel

        axis = MapAxis.from_energy_bounds(*self.energy * u.GeV, nbin=3)
        axis_true = MapAxis.from_energy_bounds(0.8 * u.GeV, 120 * u.GeV, nbin=6, name="energy_true")
        center = SkyCoord(10, 0, unit="deg", frame="galactic")
        geom = WcsGeom.create(skydir=center, frame="galactic", binsz=0.1, width=width, axes=[axis])
        exposure = Map.from_geom(geom.to_image().to_cube([axis_true]), unit="cm2 s")
        exposure.data += 3e10
        background = Map.from_geom(geom)
        background.data += np.array([3.0, 0.6, 0.1])[:, None, None]
        dataset = MapDataset(
            counts=Map.from_geom(geom),
            exposure=exposure,
            background=background,
            psf=PSFMap.from_gauss(axis_true, sigma=0.1 * u.deg),
            edisp=EDispKernelMap.from_diagonal_response(axis, axis_true),
            mask_safe=Map.from_geom(geom, data=np.ones(geom.data_shape, dtype=bool)),
            name="field",
        )
        dataset.models = [FoVBackgroundModel(dataset_name=dataset.name), *models]
        dataset.counts.data = np.random.default_rng(0).poisson(dataset.npred().data).astype(float)
        dataset.models = None
        return dataset

    def candidates(self, positions, flux):
        """Candidates with fluxes at any positions."""
        import astropy.units as u
        import numpy as np

        from gammapy_asid.catalog.candidates import Candidates

        n = len(positions)
        candidates = Candidates.from_positions(
            positions, np.linspace(0.95, 0.6, n), np.full((n, 2), 0.03) * u.deg, np.full((n, 2), 0.05) * u.deg
        )
        candidates.table["flux"] = flux * u.Unit("cm-2 s-1")
        candidates.table["e_min"], candidates.table["e_max"] = self.energy * u.GeV
        return candidates
