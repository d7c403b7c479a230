# Licensed under a 3-clause BSD style license - see LICENSE
import matplotlib
import pytest

matplotlib.use("agg")


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory):
    """Weights and cards of untrained networks for the bands of the model ``lat``."""
    from dataclasses import asdict

    import torch

    from gammapy_asid.inputs.bands import LAT_BANDS
    from gammapy_asid.training.train import build_network
    from gammapy_asid.weights import ModelCard, ensemble_path, save_model
    from gammapy_asid.weights.registry import ENSEMBLES

    torch.manual_seed(0)
    network = build_network(LAT_BANDS, (4, 4, 4, 4))
    points = [{"threshold": t, "purity": 0.5, "completeness": 0.5} for t in (0.0, 1.0)]
    knots = [(-5.0, -5.0), (5.0, 5.0)]
    card = ModelCard(
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

    from gammapy_asid.networks.description import n_conditions
    from gammapy_asid.networks.ensembles import Ensemble, EnsembleConfig
    from gammapy_asid.networks.source_features import n_inputs
    from gammapy_asid.networks.source_model import FLUX_LEVELS, POSITION_LEVELS, SPREADS, calibration_key
    from gammapy_asid.weights import EnsembleCard

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
        kind=kind,
        architecture=asdict(config),
        bands=card.bands.model_dump(),
        detection_sha256=card.weights_sha256,
        recipe={},
        recipe_sha256="",
        levels=levels,
        calibration=calibration,
        metrics={},
        package_version="0",
    )
