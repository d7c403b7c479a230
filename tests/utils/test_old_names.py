# Licensed under a 3-clause BSD style license - see LICENSE
"""Public names of version 0.1 work as before."""

import subprocess
import sys
from importlib import import_module

import pytest

from gammapy_asid.utils.old_names import MODULES, RENAMED

#: What the documentation, README and tutorials of version 0.1 import, by module.
DOCUMENTED = """
-: DLExtensionClassifier DLFluxEstimator DLSkySurvey DLSourceDetector
association: Counterparts associate association_probability false_match_rate match_counterparts
candidates: COLUMNS CandidateFlag Candidates iau_names
catalog: SourceCatalogASID SourceCatalogObjectASID catalog_table write_catalog
estimators.detector: DLSourceDetector
estimators.extension: DLExtensionClassifier
estimators.flux: DLFluxEstimator
evaluation: CandidateList Evaluation ListResult Matches PurityRecall ThresholdCurve Truth apply_knots
    apply_quantiles asimov_ts binned_fraction binomial_interval chance_share coverage_curve
    deduplicate_overlaps draw_figures evaluate_lists expected_calibration_error fit_knots fit_quantiles
    found_again mahalanobis2 match_brightest match_optimal neighbour_pairs offset_summary on_valid_data
    optimal_matched plot_binned plot_coverage plot_flux_distribution plot_flux_recovery plot_found_again
    plot_fraction plot_latitude plot_offset plot_pull plot_purity_recall plot_reliability plot_separation
    plot_threshold position_covariance probability_integral_transform purity_recall read_candidate_list
    read_truth reliability separation_curve threshold_curve ts_map_candidates write_report
evaluation.extension: accuracy_in_bins balanced_accuracy confusion
evaluation.extension_plots: plot_activations plot_class_activation plot_embedding
evaluation.inside: activation_maps attributions class_activation_maps embed
evaluation.source_limits: source_limits
extensions: SourceExtensions
fluxes: SourceFluxes
inputs: dataset_from_files
inputs.bands: BandCube Bands Response cube_from_arrays
inputs.bands_of_dataset: bands_for_dataset
inputs.convert: to_band_cube
inputs.prepare: prepare_dataset
inputs.read_maps: dataset_from_files diffuse_background read_sky_map
inputs.regular: regular_dataset
inputs.response: place_error
inputs.tiles: Tiling
likelihood: CandidateFitEstimator IterativeSearch disagreements
likelihood.fermipy: fermipy_config read_fermipy source_dicts source_xml write_fermipy
networks.domain: Domain field_domain
networks.ensembles: Ensemble ensemble_moments
networks.extension: ExtensionNetwork
networks.extension_model: ExtensionModel
networks.model: DetectionModel
networks.peaks: find_centres kmeans_centres
networks.source_fit: fit_sources
networks.source_model: SourceEnsemble fit_field
networks.unet: MultiResolutionUNet UNetConfig
plots: plot_field plot_score_map plot_training_history plot_ts_against_score
simulation: build_lat_bank
simulation.all_sky: simulate_sky
simulation.catalog: MockCatalog
simulation.dataset: analytic_lat_exposure analytic_lat_psf simulate_dataset
simulation.diffuse: EmissionBank EmissionModel analytic_emission
simulation.extension_stamps: Scene StampSimulator
simulation.field: simulate_cube
simulation.gps_xml: read_ctools_xml
simulation.imaging: ImagingField ImagingInstrument
simulation.instruments: lat_response
simulation.lat_bank: build_lat_bank
simulation.plane: PlaneClass PlaneSources draw_plane fit_plane
simulation.pointings: read_pointings
simulation.populations: Population draw_sky
simulation.survey_dataset: survey_dataset
survey: DLSkySurvey SkyFitEstimator SkyTiles TileCutter
training.dataset: dataset_simulator
training.extension: train_extension
training.extension_recipe: ExtensionRecipe
training.recipe: InstrumentRecipe OptimiserRecipe Recipe SourceRecipe read_recipe
training.release: calibrate release
training.release_extension: release_extension
training.release_sources: release_sources
training.train: train
weights: EnsembleCard ExtensionCard ModelCard OperatingPoint find_model list_models load_card load_state
    save_model
"""


def documented():
    """Pairs of module and names."""
    module = None
    for line in DOCUMENTED.strip().splitlines():
        if not line.startswith(" "):
            module, _, line = line.partition(":")
        yield from ((module, name) for name in line.split())


@pytest.mark.parametrize("module, name", list(documented()))
def test_documented_names(module, name):
    old = import_module("gammapy_asid" if module == "-" else f"gammapy_asid.{module}")
    found = getattr(old, name)
    if name in RENAMED and module in MODULES:
        place, _, new = RENAMED[name].rpartition(".")
        assert found is getattr(import_module(f"gammapy_asid.{place}"), new)
    elif module in MODULES:
        places = [import_module(f"gammapy_asid.{place}") for place in MODULES[module].split()]
        assert any(getattr(place, name, None) is found and name in place.__all__ for place in places)
        assert name in old.__all__


@pytest.mark.parametrize("module", list(MODULES))
def test_new_modules_are_there(module):
    for place in MODULES[module].split():
        assert import_module(f"gammapy_asid.{place}").__all__


def test_old_ways_to_import():
    from gammapy_asid.networks import unet

    from gammapy_asid import weights
    from gammapy_asid.tasks.detection.card import DetectionCard
    from gammapy_asid.weights import card

    assert weights.ModelCard is weights.card.ModelCard is card.ModelCard is DetectionCard
    assert unet.UNetConfig.__module__ == "gammapy_asid.learning.unet"
    names = {}
    exec("from gammapy_asid.fluxes import *", names)
    assert "SourceFluxes" in names
    with pytest.raises(AttributeError, match="candidates' has no attribute 'nothing'"):
        import_module("gammapy_asid.candidates").nothing  # noqa: B018
    with pytest.raises(ModuleNotFoundError):
        import_module("gammapy_asid.candidates.nothing")


def test_old_names_cost_nothing():
    code = "import sys, gammapy_asid.weights.card, gammapy_asid.candidates; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "gammapy_asid.candidates" in loaded.split()
    assert not {"torch", "gammapy", "astropy", "numpy"} & set(loaded.split())
