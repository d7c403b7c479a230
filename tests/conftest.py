# Licensed under a 3-clause BSD style license - see LICENSE
import matplotlib
import pytest

matplotlib.use("agg")


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory):
    """Weights and card of an untrained network for the bands of the model ``lat``."""
    from dataclasses import asdict

    import torch

    from gammapy_asid.inputs.bands import LAT_BANDS
    from gammapy_asid.training.train import build_network
    from gammapy_asid.weights import ModelCard, save_model

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
    save_model(path, network.state_dict(), card)
    return path
