# Licensed under a 3-clause BSD style license - see LICENSE
import astropy.units as u
import numpy as np
import pytest
import torch
import yaml
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from click.testing import CliRunner
from gammapy.datasets import Datasets, MapDataset
from gammapy.estimators import ESTIMATOR_REGISTRY
from gammapy.modeling.models import (
    GaussianSpatialModel,
    Models,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
)
from numpy.testing import assert_allclose

from gammapy_asid import Candidates, DLExtensionClassifier
from gammapy_asid.catalog.columns import EXTENSION_COLUMNS, CandidateFlag
from gammapy_asid.cli import main
from gammapy_asid.inputs import to_band_cube
from gammapy_asid.inputs.psf import psf_radius
from gammapy_asid.inputs.stamps import cut_stamps, local_psf_radii
from gammapy_asid.learning.io import load_card
from gammapy_asid.learning.model_files import list_models
from gammapy_asid.learning.recipe import read_recipe
from gammapy_asid.learning.run import prepare_simulator, release, train
from gammapy_asid.tasks.detection.card import DetectionCard
from gammapy_asid.tasks.extension.card import ExtensionCard
from gammapy_asid.tasks.extension.loss import classes_of, extension_loss
from gammapy_asid.tasks.extension.model import ExtensionModel
from gammapy_asid.tasks.extension.network import ExtensionOutput
from gammapy_asid.tasks.extension.recipe import ExtensionRecipe
from gammapy_asid.tasks.extension.simulator import build_stamp_simulator, dataset_stamp_simulator

POINT, EXTENDED, EDGE, OUTSIDE = SkyCoord(
    [0.41, -0.43, 1.85, 9], [0.31, -0.29, 0, 0], unit="deg", frame="galactic"
)
POSITIONS = SkyCoord([POINT, EXTENDED, EDGE, OUTSIDE])


def extended_models():
    spectrum = PowerLawSpectralModel(index=2.2, amplitude="4e-12 cm-2 s-1 TeV-1", reference="1 TeV")
    places = [
        PointSpatialModel(lon_0=POINT.l, lat_0=POINT.b, frame="galactic"),
        GaussianSpatialModel(lon_0=EXTENDED.l, lat_0=EXTENDED.b, sigma="0.4 deg", frame="galactic"),
    ]
    return Models([SkyModel(spectrum.copy(), place, name=f"s{i}") for i, place in enumerate(places)])


@pytest.fixture(scope="module")
def dataset(extension_dataset):
    dataset = extension_dataset.copy(name="field")
    dataset.models = extended_models()
    dataset.fake(random_state=2)
    dataset.models = None
    return dataset


@pytest.fixture(scope="module")
def model(extension_dataset, extension_recipe, tmp_path_factory):
    """Weights of a tiny network, trained for some seconds."""
    folder = tmp_path_factory.mktemp("extension")
    simulator, recipe = dataset_stamp_simulator(extension_dataset, extension_recipe)
    network = train(recipe, folder / "run", simulator, progress=False)
    path = folder / "toy-extension.safetensors"
    release(network, recipe, simulator, path)
    return path


@pytest.fixture(scope="module")
def classifier(model):
    return DLExtensionClassifier(model)


@pytest.fixture(scope="module")
def extensions(classifier, dataset):
    return classifier.run(dataset, POSITIONS)


def test_table(extensions):
    table = extensions.table
    assert len(extensions) == len(table) == 4
    inside = table[:3]
    assert_allclose(inside["extension_prob"].sum(axis=1), 1)
    best = inside["extension_prob"].argmax(axis=1)
    assert list(inside["extension_class"]) == [f"C{i}" for i in best]
    assert np.all((inside["extended_prob"] > 0) & (inside["extended_prob"] < 1))
    for name in ("ext_sigma", "ext_sigma_errn", "ext_sigma_errp"):
        assert inside[name].unit == "deg"
        assert np.all(inside[name] > 0 * u.deg)
    assert extensions.meta["edges"] == [0.2, 0.5]
    assert "SourceExtensions: 4 sources" in str(extensions)


def test_flags(extensions):
    flags = extensions.table["flags"]
    assert flags[0] == 0
    assert flags[2] & CandidateFlag.NEAR_EDGE
    assert flags[3] == CandidateFlag.OUTSIDE
    last = extensions.table[3]
    assert last["extension_class"] == ""
    assert np.isnan(last["extended_prob"]) and np.isnan(last["ext_sigma"])


def test_learned_something(model, extension_dataset, extension_recipe):
    """A tiny network needs few batches to see that large sources are no points."""
    simulator, recipe = dataset_stamp_simulator(extension_dataset, extension_recipe)
    simulated = simulator.draw(300, 99, recipe.scenes[0])
    predicted = ExtensionModel.load(model).predict(simulated.stamps)
    point, large = (simulated.size == 0).numpy(), (simulated.size > 0.5).numpy()
    assert predicted.probability[point, 0].mean() > predicted.probability[large, 0].mean() + 0.1
    assert predicted.extended[large].mean() > predicted.extended[point].mean()
    size = predicted.size
    assert np.all(np.diff(size, axis=1) >= 0)


def test_one_source_as_in_a_batch(classifier, dataset, extensions):
    single = classifier.run(dataset, POSITIONS[1]).table
    for name in ("extension_prob", "extended_prob", "ext_sigma"):
        assert_allclose(single[name][0], extensions.table[name][1], rtol=1e-4)


def test_data_are_left_alone(classifier, dataset):
    before = dataset.counts.data.copy(), dataset.background.data.copy()
    with_models = dataset.copy(name="models")
    with_models.models = extended_models()
    given = with_models.models
    table = classifier.run(with_models, given).table
    assert list(table["name"]) == ["s0", "s1"]
    assert with_models.models.names == ["s0", "s1"]
    # Sources that are classified themselves are no part of the known sky.
    other = classifier.run(dataset, POSITIONS[:2]).table
    assert_allclose(table["extension_prob"], other["extension_prob"], rtol=1e-5)
    known = classifier.run(with_models, POSITIONS[:2]).table
    assert not np.allclose(known["extension_prob"], other["extension_prob"], rtol=1e-2)
    assert np.array_equal(dataset.counts.data, before[0])
    assert np.array_equal(dataset.background.data, before[1])


def test_band_cube_and_datasets(classifier, dataset, extensions):
    cube = to_band_cube(dataset, classifier.card.to_bands())
    table = classifier.run(cube, POSITIONS).table
    # The radii of the point spread function are those of the centre, found on another grid.
    assert_allclose(table["extended_prob"][:3], extensions.table["extended_prob"][:3], atol=0.02)
    low, high = (
        dataset.slice_by_energy(0.1 * u.TeV, 1 * u.TeV, name="low"),
        dataset.slice_by_energy(1 * u.TeV, 10 * u.TeV, name="high"),
    )
    both = classifier.run(Datasets([low, high]), POSITIONS).table
    assert_allclose(both["extended_prob"][:3], extensions.table["extended_prob"][:3], atol=0.02)
    # A range of energies alone leaves the other bands empty.
    alone = classifier.run(high, POSITIONS[:1]).table
    assert np.isfinite(alone["extended_prob"][0])


def test_bad_input(classifier, dataset):
    bare = dataset.copy(name="bare")
    bare.background = None
    with pytest.raises(ValueError, match="have no background: the size of a source can't be told"):
        classifier.run(bare, POSITIONS)
    with pytest.raises(TypeError, match="not a dataset"):
        classifier.run(dataset, dataset)
    with pytest.raises(ValueError, match="Unknown model 'guess'"):
        DLExtensionClassifier("guess")
    everywhere = classifier.run(dataset, POSITIONS[3:])
    assert list(everywhere.table["flags"]) == [CandidateFlag.OUTSIDE]
    twice = classifier.run(dataset, SkyCoord([POINT, POINT])).table
    assert np.all(twice["flags"] & CandidateFlag.DUPLICATE)


def test_distances_and_motions_of_positions_do_not_count(classifier, dataset):
    near = SkyCoord(
        dataset.counts.geom.center_skydir.galactic.l,
        dataset.counts.geom.center_skydir.galactic.b,
        frame="galactic",
    ).reshape(1)
    far = SkyCoord(near.l, near.b, distance=[2] * u.kpc, frame="galactic")
    moved = SkyCoord(near.l, near.b, pm_l_cosb=[1] * u.mas / u.yr, pm_b=[1] * u.mas / u.yr, frame="galactic")
    right = classifier.run(dataset, near).table
    for positions in (far, moved):
        table = classifier.run(dataset, positions).table
        assert_allclose(table["ext_sigma"].value, right["ext_sigma"].value, rtol=1e-5)
        assert_allclose(table["ra"].value, right["ra"].value)


def test_responses_of_a_recipe_beside_a_dataset(extension_dataset):
    # Its fluxes are absolute, those of a training for a dataset in units of what that detects
    with pytest.raises(ValueError, match="'cta-extension' has instrument responses"):
        prepare_simulator(read_recipe("cta-extension"), extension_dataset)


def test_instrument_outside_the_range_of_training(classifier, dataset):
    bright = dataset.copy(name="bright")
    bright.background = bright.background * 50
    bright.counts = bright.counts * 50
    assert classifier.run(bright, POSITIONS[:1]).table["flags"][0] & CandidateFlag.UNTRAINED
    wide = dataset.copy(name="wide")
    wide.psf.psf_map.data[:] = wide.psf.psf_map.data[:, ::-1][:, ::-1]
    from gammapy.irf import PSFMap

    wide.psf = PSFMap.from_gauss(dataset.exposure.geom.axes["energy_true"], sigma=np.full(40, 0.15) * u.deg)
    assert classifier.run(wide, POSITIONS[:1]).table["flags"][0] & CandidateFlag.UNTRAINED


def test_models_of_extensions(extensions):
    models = extensions.to_models()
    for model, row in zip(models, extensions.table, strict=True):
        is_extended = row["extended_prob"] > 0.5
        assert isinstance(model.spatial_model, GaussianSpatialModel if is_extended else PointSpatialModel)
        if is_extended:
            assert model.spatial_model.sigma.quantity == row["ext_sigma"]
            assert model.spatial_model.sigma.error > 0
    assert models.names == list(extensions.table["name"])


@pytest.fixture
def candidates():
    axes = np.full((2, 2), 0.03) * u.deg
    return Candidates.from_positions(SkyCoord(POSITIONS[:2]), [0.9, 0.8], axes, 2 * axes)


def test_candidates_take_their_extensions(classifier, dataset, candidates, tmp_path):
    extensions = classifier.run(dataset, candidates)
    merged = candidates.with_extensions(extensions)
    for column in EXTENSION_COLUMNS:
        assert np.all(merged.table[column.name] == extensions.table[column.name])
        assert column.name not in candidates.table.colnames
    merged.write(tmp_path / "candidates.fits")
    again = Candidates.read(tmp_path / "candidates.fits")
    assert_allclose(again.table["extension_prob"], merged.table["extension_prob"])
    assert list(again.table["extension_class"]) == list(merged.table["extension_class"])
    assert again.meta["extension"]["edges"] == [0.2, 0.5]
    with pytest.raises(ValueError, match="not those of these candidates"):
        candidates[:1].with_extensions(extensions)


def test_models_of_candidates(classifier, dataset, candidates):
    merged = candidates.with_extensions(classifier.run(dataset, candidates))
    merged.table["extended_prob"] = [0.1, 0.9]
    merged.table["ext_sigma"] = [0.02, 0.3] * u.deg
    point, gaussian = merged.to_models()
    assert isinstance(point.spatial_model, PointSpatialModel)
    assert isinstance(gaussian.spatial_model, GaussianSpatialModel)
    assert gaussian.spatial_model.sigma.quantity == 0.3 * u.deg
    assert gaussian.spatial_model.lat_0.error == pytest.approx(point.spatial_model.lat_0.error)
    assert gaussian.position.separation(merged.positions[1]).deg < 1e-6


def test_estimator(classifier):
    assert DLExtensionClassifier in ESTIMATOR_REGISTRY
    assert "toy-extension" in str(classifier)
    assert classifier.config_parameters.keys() == {"model", "device"}


def test_stamps_of_other_pixels(dataset, classifier):
    """Counts and background are conserved on pixels of another size."""
    cube = to_band_cube(dataset, classifier.card.to_bands())
    x, y = (np.array([v]) for v in cube.geom.wcs.world_to_pixel(POINT))
    same = cut_stamps(cube, x, y, 32, cube.response.pixel_size)
    finer = cut_stamps(cube, x, y, 64, cube.response.pixel_size / 2)
    assert same[3] == pytest.approx(1.0)
    assert_allclose(finer[0].sum((0, 2, 3)), same[0].sum((0, 2, 3)), rtol=0.05)
    assert_allclose(finer[1].sum((0, 2, 3)), same[1].sum((0, 2, 3)), rtol=0.05)
    assert np.array_equal(finer[0], np.rint(finer[0]))
    assert np.all(finer[2] == 1)
    # The brightest pixel stays in the middle.
    image = finer[0][0].sum(0)
    inner = image[28:36, 28:36].sum()
    assert inner > 3 * image[:8, :8].sum()


def test_radii_at_positions(dataset, classifier):
    response = to_band_cube(dataset, classifier.card.to_bands()).response
    radii = local_psf_radii([dataset], POSITIONS[:2], response)
    assert radii.shape == (2, len(response.bands), 2)
    assert_allclose(
        radii[:, :, 0], np.broadcast_to(psf_radius(response), (2, len(response.bands))), rtol=0.03
    )
    assert_allclose(radii[0, :, 1], psf_radius(response, 0.95), rtol=0.03)


def test_loss():
    edges = (0.1, 0.3)
    size = torch.tensor([0.0, 0.1, 0.5])
    assert classes_of(size, edges).tolist() == [0, 1, 2]
    log_size = torch.log(size.clamp(min=0.1))
    good = ExtensionOutput(20 * torch.eye(3), torch.tensor([-20.0, 20, 20]), log_size, torch.full((3,), -3.0))
    wrong = ExtensionOutput(good.classes.roll(1, 1), -good.extended, log_size + 1, good.log_error)
    low, high = extension_loss(good, size, edges), extension_loss(wrong, size, edges)
    for name in ("class", "point"):
        assert low[name] == pytest.approx(0, abs=1e-6)
        assert high[name] > 10
    assert low["size"] < high["size"]


def test_training_resumes_to_the_same_weights(extension_dataset, extension_recipe, tmp_path):
    simulator, recipe = dataset_stamp_simulator(extension_dataset, extension_recipe)
    optimiser = recipe.optimiser.model_copy(update={"batches_per_epoch": 2, "precision": "32-true"})
    recipe = recipe.model_copy(update={"optimiser": optimiser})
    whole = train(recipe, tmp_path / "whole", simulator, progress=False)
    again = train(recipe, tmp_path / "again", simulator, progress=False)
    for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    # A finished training that is called again gives the same network.
    resumed = train(recipe, tmp_path / "whole", simulator, progress=False)
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert (tmp_path / "whole" / "metrics.csv").read_text().count("\n") == 3


def test_card(model):
    card = load_card(model, ExtensionCard)
    assert card.classes == ["C0", "C1", "C2"]
    assert card.kind == "extension"
    assert set(card.metrics) == {"scene 0"}
    with pytest.raises(ValueError, match="is for extension, not for detection: choose cta-gps or lat"):
        load_card(model, DetectionCard)
    assert load_card(model) == card
    with pytest.raises(ValueError, match="one bias more"):
        ExtensionCard(**(card.model_dump() | {"bias": (0.0,)}))
    # A network that does not fit is told apart from a corrupt file.
    with pytest.raises(ValueError, match="is for detection, not for extension: choose cta-extension"):
        ExtensionModel.load("lat")


def test_recipes():
    recipe = read_recipe("cta-extension", ExtensionRecipe)
    assert recipe.edges == (0.1, 0.3)
    assert len(recipe.scenes) == 3
    with pytest.raises(ValueError, match="edges must increase"):
        ExtensionRecipe(**(recipe.model_dump() | {"edges": (0.3, 0.1)}))
    with pytest.raises(ValueError, match="as many shares"):
        ExtensionRecipe(**(recipe.model_dump() | {"shares": (1.0,)}))
    with pytest.raises(ValueError, match="no instrument responses"):
        build_stamp_simulator(read_recipe("extension", ExtensionRecipe))


def test_command_line(dataset, extension_recipe, tmp_path):
    dataset.write(tmp_path / "field.fits.gz")
    recipe = tmp_path / "tiny.yaml"
    settings = extension_recipe.model_dump(mode="json") | {"name": "tiny-extension"}
    settings["optimiser"] |= {"epochs": 1, "batches_per_epoch": 2}
    recipe.write_text(yaml.safe_dump(settings))
    run = CliRunner().invoke
    arguments = ["train", str(recipe), "--task", "extension", "--dataset", str(tmp_path / "field.fits.gz")]
    result = run(main, [*arguments, "--output", str(tmp_path / "runs"), "--workers", "0"])
    assert result.exit_code == 0, result.output
    weights = tmp_path / "runs" / "tiny-extension.safetensors"
    assert weights.is_file() and weights.with_suffix(".json").is_file()
    judged = run(main, ["evaluate", "--model", str(weights), "--dataset", str(tmp_path / "field.fits.gz")])
    assert judged.exit_code == 0, judged.output
    # The figures of the training's last epoch, on the same simulations
    history = Table.read(tmp_path / "runs" / "tiny-extension" / "metrics.csv", format="ascii.csv")
    assert f"accuracy_0 {history['accuracy_0'][-1]:.4g}" in judged.output
    QTable({"glon": POSITIONS.l, "glat": POSITIONS.b}).write(tmp_path / "positions.fits")
    arguments = ["extension", str(tmp_path / "field.fits.gz"), "--sources", str(tmp_path / "positions.fits")]
    arguments += ["--model", str(weights), "--output", str(tmp_path / "out.fits")]
    result = run(main, [*arguments, "--output-models", str(tmp_path / "out.yaml")])
    assert result.exit_code == 0, result.output
    assert len(QTable.read(tmp_path / "out.fits")) == 4
    assert len(Models.read(tmp_path / "out.yaml")) == 4
    again = run(main, arguments)
    assert again.exit_code == 2
    assert "exists" in again.output


def test_shipped_models_by_kind():
    assert "cta-extension" not in list_models()
    assert "lat" not in list_models("extension")


def test_read_dataset_again(dataset, classifier, extensions, tmp_path):
    dataset.write(tmp_path / "field.fits.gz")
    table = classifier.run(MapDataset.read(tmp_path / "field.fits.gz"), POSITIONS).table
    assert_allclose(table["extended_prob"], extensions.table["extended_prob"], rtol=1e-3)
