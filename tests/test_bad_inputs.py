# Licensed under a 3-clause BSD style license - see LICENSE
"""Bad input over the whole public surface: one clear error, or a right result that says what is wrong.

The table of docs/reliability.md lists them.
"""

import os
import re
from pathlib import Path
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table, hstack
from click.testing import CliRunner
from gammapy.datasets import Datasets, MapDataset, MapDatasetOnOff
from gammapy.maps import Map
from gammapy.modeling.models import Models, PowerLawSpectralModel, SkyModel

from gammapy_asid import (
    CandidateFitEstimator,
    Candidates,
    DLExtensionClassifier,
    DLFluxEstimator,
    DLSkySurvey,
    DLSourceClassifier,
    DLSourceDetector,
    IterativeSearch,
    SkyFitEstimator,
)
from gammapy_asid.catalog.association import associate
from gammapy_asid.catalog.columns import CandidateFlag
from gammapy_asid.catalog.counterparts import Counterparts
from gammapy_asid.catalog.source_catalog import SourceCatalogASID
from gammapy_asid.cli import main
from gammapy_asid.evaluation import CandidateList, Truth, evaluate_lists, read_candidate_list, read_truth
from gammapy_asid.inputs import to_band_cube
from gammapy_asid.inputs.read_maps import dataset_from_files
from gammapy_asid.learning.recipe import read_recipe
from gammapy_asid.likelihood.fermipy import read_fermipy, write_fermipy
from gammapy_asid.simulation.demo import simulated_field

ERRORS = (ValueError, TypeError, FileNotFoundError)


@pytest.fixture(scope="module")
def toy(gev_sky, toy_model, tmp_path_factory):
    """One small field, its candidates and the estimators of an untrained model, shared by all."""
    folder = tmp_path_factory.mktemp("bad")
    field = gev_sky.dataset(gev_sky.sources(1), width=3)
    field.write(folder / "field.fits.gz")
    candidates = gev_sky.candidates(gev_sky.positions[:2], gev_sky.flux[:2])
    candidates.write(folder / "candidates.fits")
    candidates.to_models().write(folder / "models.yaml", write_covariance=False)
    (folder / "text.fits").write_text("text")
    (folder / "text.yaml").write_text("a: [1")
    (folder / "list.yaml").write_text("- 1\n- 2\n")
    (folder / "empty.csv").write_text("")
    Table({"a": [1]}).write(folder / "table.fits")
    Table({"ra": [1.0], "dec": [2.0]}).write(folder / "positions.csv")
    Table({"ra": [1.0], "dec": [2.0], "flux": [-1.0], "score": [0.5]}).write(folder / "negative.csv")
    Table({"ra": [100.0], "dec": [2.0], "flux": [1e-9], "score": [0.5]}).write(folder / "truth.csv")
    return SimpleNamespace(
        folder=folder,
        positions=gev_sky.positions,
        field=field,
        candidates=candidates,
        model=toy_model,
        detector=DLSourceDetector(toy_model),
        fluxes=DLFluxEstimator(toy_model),
        fits=CandidateFitEstimator(width=2 * u.deg),
    )


def changed(toy, **parts):
    """The field with some of its parts replaced."""
    field = toy.field.copy(name="field")
    for name, value in parts.items():
        setattr(field, name, value)
    return field


def values(toy, part, value):
    """The field with one value of a map replaced."""
    field = toy.field.copy(name="field")
    getattr(field, part).data[0, 10, 10] = value
    return field


def one_position(lon=10.0, lat=0.0):
    return SkyCoord([lon], [lat], unit="deg", frame="galactic")


def truth(flux=1e-9, n=2):
    return Truth(np.arange(n) + 1.0, np.zeros(n), np.full(n, flux))


def judged(label="a"):
    return CandidateList(label, np.array([1.0]), np.array([0.0]), np.array([0.9]))


def table_without(toy, name):
    return QTable({n: toy.candidates.table[n] for n in toy.candidates.table.colnames if n != name})


PRIOR = {"AGN": 0.8, "PSR": 0.15, "PWN-SNR": 0.05}

#: What is wrong, the call, and what the error says.
CALLS = {
    # Detector
    "detector: threshold 0": (lambda t: DLSourceDetector(t.model, threshold=0), "between 0 and 1"),
    "detector: threshold 1.5": (lambda t: DLSourceDetector(t.model, threshold=1.5), "between 0 and 1"),
    "detector: threshold NaN": (lambda t: DLSourceDetector(t.model, threshold=np.nan), "between 0 and 1"),
    "detector: threshold a text": (lambda t: DLSourceDetector(t.model, threshold="high"), "between 0 and 1"),
    "detector: unknown centres": (lambda t: DLSourceDetector(t.model, centres="max"), "'log' or 'kmeans'"),
    "detector: emission error 2": (lambda t: DLSourceDetector(t.model, emission_error=2), "between 0 and 1"),
    "detector: emission error a text": (
        lambda t: DLSourceDetector(t.model, emission_error="x"),
        "between 0 and 1",
    ),
    "detector: unknown model": (lambda t: DLSourceDetector("latt"), "Unknown model 'latt'"),
    "detector: model a number": (lambda t: DLSourceDetector(3), "model"),
    "detector: model None": (lambda t: DLSourceDetector(None), "model"),
    "detector: weights that do not exist": (lambda t: DLSourceDetector("no/such.safetensors"), "such"),
    "detector: weights a text": (lambda t: DLSourceDetector(t.folder / "text.fits"), "Unknown model"),
    "detector: model of another task": (lambda t: DLSourceDetector("cta-extension"), "cta-extension"),
    "detector: device that is not there": (
        lambda t: DLSourceDetector(t.model, device="gpu"),
        "no device 'gpu'",
    ),
    "detector: data None": (lambda t: t.detector.run(None), "MapDataset"),
    "detector: data a file name": (lambda t: t.detector.run("field.fits"), "MapDataset"),
    "detector: data a map": (lambda t: t.detector.run(t.field.counts), "MapDataset"),
    "detector: no datasets": (lambda t: t.detector.run(Datasets([])), "dataset"),
    "detector: an empty list": (lambda t: t.detector.run([]), "dataset"),
    "data: no counts": (lambda t: t.detector.run(changed(t, counts=None)), "no counts"),
    "data: no exposure": (lambda t: t.detector.run(changed(t, exposure=None)), "no exposure"),
    "data: no PSF": (lambda t: t.detector.run(changed(t, psf=None)), "no PSF"),
    "data: on/off": (
        lambda t: t.detector.run(MapDatasetOnOff.from_map_dataset(t.field, acceptance=1, acceptance_off=1)),
        "OnOff",
    ),
    "data: negative counts": (lambda t: t.detector.run(values(t, "counts", -1)), "negative counts"),
    "data: counts NaN": (lambda t: t.detector.run(values(t, "counts", np.nan)), "not finite"),
    "data: exposure negative": (lambda t: t.detector.run(values(t, "exposure", -1)), "negative exposure"),
    "data: background NaN": (lambda t: t.detector.run(values(t, "background", np.nan)), "not finite"),
    "data: counts with a unit": (
        lambda t: t.detector.run(changed(t, counts=Map.from_geom(t.field.counts.geom, unit="cm2"))),
        "without a unit",
    ),
    "data: exposure in s": (
        lambda t: t.detector.run(changed(t, exposure=Map.from_geom(t.field.exposure.geom, unit="s"))),
        "area times time",
    ),
    "data: mask empty": (
        lambda t: t.detector.run(
            changed(t, mask_safe=Map.from_geom(t.field.counts.geom, data=np.zeros((3, 30, 30), bool)))
        ),
        "empty mask",
    ),
    # Fluxes
    "fluxes: energy without a unit": (lambda t: DLFluxEstimator(t.model, e_min=1), "e_min must be an energy"),
    "fluxes: energy in m": (lambda t: DLFluxEstimator(t.model, e_max=1 * u.m), "e_max must be an energy"),
    "fluxes: energy a text": (lambda t: DLFluxEstimator(t.model, e_min="low"), "e_min must be an energy"),
    "fluxes: energy NaN": (
        lambda t: DLFluxEstimator(t.model, e_min=np.nan * u.GeV),
        "e_min must be an energy",
    ),
    "fluxes: two energies for one": (
        lambda t: DLFluxEstimator(t.model, e_min=[1, 2] * u.GeV),
        "e_min must be an energy",
    ),
    "fluxes: energies reversed": (
        lambda t: DLFluxEstimator(t.model, e_min=10 * u.GeV, e_max=1 * u.GeV),
        "e_min must be below e_max",
    ),
    "fluxes: energies outside the data": (
        lambda t: DLFluxEstimator(t.model, e_max=900 * u.GeV).run(t.field, t.positions),
        "the data hold 1-100",
    ),
    "fluxes: unknown uncertainty": (
        lambda t: DLFluxEstimator(t.model, uncertainty="none"),
        "mean-variance, ensemble",
    ),
    "fluxes: model of another task": (lambda t: DLFluxEstimator("cta-extension"), "cta-extension"),
    "fluxes: sources None": (lambda t: t.fluxes.run(t.field, None), "Sources are SkyCoord"),
    "fluxes: sources a name": (lambda t: t.fluxes.run(t.field, "Crab"), "Sources are SkyCoord"),
    "fluxes: sources a table": (lambda t: t.fluxes.run(t.field, Table()), "Sources are SkyCoord"),
    "fluxes: arguments swapped": (lambda t: t.fluxes.run(t.positions, t.field), "are the sources|MapDataset"),
    "fluxes: models without a position": (
        lambda t: t.fluxes.run(t.field, Models([SkyModel(PowerLawSpectralModel(), name="everywhere")])),
        "Models without a position: everywhere",
    ),
    # Extension
    "extension: model of another task": (lambda t: DLExtensionClassifier("lat"), "lat"),
    "extension: no background": (
        lambda t: DLExtensionClassifier().run(changed(t, background=None), t.positions),
        "no background",
    ),
    # Classes
    "detector: classify a number": (lambda t: DLSourceDetector(t.model, classify=2), "a DLSourceClassifier"),
    "classes: model of another task": (
        lambda t: DLSourceClassifier("lat"),
        "for detection, not for class",
    ),
    "classes: unknown prior": (lambda t: DLSourceClassifier(prior="many"), "'equal', a dict"),
    "classes: prior of two classes": (lambda t: DLSourceClassifier(prior={"AGN": 1, "PSR": 1}), "PWN-SNR"),
    "classes: prior of another class": (
        lambda t: DLSourceClassifier(prior=PRIOR | {"bll": 1}),
        "share of bll",
    ),
    "classes: prior negative": (lambda t: DLSourceClassifier(prior=PRIOR | {"PSR": -1}), "not negative"),
    "classes: prior a text": (
        lambda t: DLSourceClassifier(prior=PRIOR | {"PSR": "few"}),
        "'PSR' must be a number",
    ),
    "classes: prior of fakes alone": (
        lambda t: DLSourceClassifier(prior=PRIOR | {"real": 0}),
        "between 0 and 1",
    ),
    # Fits
    "fits: width without a unit": (lambda t: CandidateFitEstimator(width=4), "width"),
    "fits: width 0": (lambda t: CandidateFitEstimator(width=0 * u.deg), "width"),
    "fits: width of half a sky": (lambda t: CandidateFitEstimator(width=200 * u.deg), "width"),
    "fits: width in s": (lambda t: CandidateFitEstimator(width=1 * u.s), "width"),
    "fits: reach of the position 0": (
        lambda t: CandidateFitEstimator(position_reach=0 * u.deg),
        "position_reach",
    ),
    "fits: TS of curvature NaN": (lambda t: CandidateFitEstimator(curvature_ts=np.nan), "curvature_ts"),
    "fits: processes 0": (lambda t: CandidateFitEstimator(n_jobs=0), "n_jobs"),
    "fits: candidates None": (lambda t: t.fits.run(t.field, None), "Candidates"),
    "fits: candidates a table": (lambda t: t.fits.run(t.field, t.candidates.table), "Candidates"),
    "fits: arguments swapped": (lambda t: t.fits.run(t.candidates, t.field), "MapDataset|Candidates"),
    "fits: data None": (lambda t: t.fits.run(None, t.candidates), "MapDataset"),
    "fits: no known sky": (lambda t: t.fits.run(changed(t, background=None), t.candidates), "background"),
    "fits: no PSF": (lambda t: t.fits.run(changed(t, psf=None), t.candidates), "no PSF"),
    "search: no round": (lambda t: IterativeSearch(t.detector, max_rounds=0), "max_rounds"),
    "search: half a round": (lambda t: IterativeSearch(t.detector, max_rounds=1.5), "max_rounds"),
    "search: TS negative": (lambda t: IterativeSearch(t.detector, ts_threshold=-1), "ts_threshold"),
    "search: TS NaN": (lambda t: IterativeSearch(t.detector, ts_threshold=np.nan), "ts_threshold"),
    "search: detector a name": (lambda t: IterativeSearch("lat"), "detector"),
    "search: fits a number": (lambda t: IterativeSearch(t.detector, fits=25), "fits"),
    # Survey
    "survey: detector a name": (lambda t: DLSkySurvey("lat"), "detector"),
    "survey: tiles of NSIDE 0": (lambda t: DLSkySurvey(t.detector, nside=0), "nside"),
    "survey: margin negative": (lambda t: DLSkySurvey(t.detector, margin=-1), "margin"),
    "survey: processes 0": (lambda t: DLSkySurvey(t.detector, n_jobs=0), "n_jobs"),
    "survey: folder a file": (
        lambda t: DLSkySurvey(t.detector, folder=t.folder / "text.fits").run(t.field),
        "text.fits",
    ),
    "survey: data None": (lambda t: DLSkySurvey(t.detector).run(None), "MapDataset"),
    "survey fits: fits a number": (lambda t: SkyFitEstimator(3), "fits"),
    "survey fits: score a text": (lambda t: SkyFitEstimator(t.fits, score_min="a"), "score_min"),
    "survey fits: candidates None": (lambda t: SkyFitEstimator(t.fits).run(t.field, None), "Candidates"),
    # Candidates
    "candidates: a column missing": (lambda t: Candidates(table_without(t, "score")), "no column score"),
    "candidates: a unit wrong": (
        lambda t: Candidates(hstack([table_without(t, "ra"), QTable({"ra": [1, 2] * u.s})])),
        "'ra' must be in deg",
    ),
    "candidates: no table": (lambda t: Candidates("candidates.fits"), "table"),
    "candidates: fewer scores than positions": (
        lambda t: Candidates.from_positions(
            t.positions, [0.5], np.ones((3, 2)) * u.deg, np.ones((3, 2)) * u.deg
        ),
        "score",
    ),
    "candidates: ellipses without a unit": (
        lambda t: Candidates.from_positions(
            t.positions, np.ones(3), np.ones((3, 2)), np.ones((3, 2)) * u.deg
        ),
        "axes_68",
    ),
    "candidates: containment .5": (lambda t: t.candidates.to_regions(0.5), "0.68 or 0.95"),
    "candidates: containment a text": (lambda t: t.candidates.to_regions("68"), "0.68 or 0.95"),
    "candidates: a spectrum by name": (lambda t: t.candidates.to_models("pl"), "SpectralModel"),
    "candidates: fluxes of others": (
        lambda t: t.candidates.with_fluxes(t.fluxes.run(t.field, t.positions)),
        "not those of these candidates",
    ),
    "candidates: fluxes a table": (lambda t: t.candidates.with_fluxes(Table()), "SourceFluxes"),
    "candidates: written to no folder": (lambda t: t.candidates.write("no/such/c.fits"), "does not exist"),
    "candidates: written as text": (lambda t: t.candidates.write(t.folder / "c.txt"), "must end in .fits"),
    "candidates: read from nothing": (lambda t: Candidates.read("nothing.fits"), "No such"),
    "candidates: read from a folder": (lambda t: Candidates.read(t.folder), "folder"),
    "candidates: read from a text": (lambda t: Candidates.read(t.folder / "text.fits"), "can be read"),
    "candidates: read from a table without positions": (
        lambda t: Candidates.read(t.folder / "table.fits"),
        "no columns ra and dec",
    ),
    "candidates: read from an empty file": (lambda t: Candidates.read(t.folder / "empty.csv"), "no columns"),
    "list: a position NaN": (
        lambda t: Candidates.from_table(Table({"ra": [np.nan], "dec": [0.0]})),
        "1 rows without a position",
    ),
    "list: two sources of one name": (
        lambda t: Candidates.from_table(Table({"ra": [1, 2], "dec": [0, 0], "name": ["a", "a"]})),
        "share a name",
    ),
    "list: a flux in Jy": (
        lambda t: Candidates.from_table(QTable({"ra": [1] * u.deg, "dec": [2] * u.deg, "flux": [1] * u.Jy})),
        "flux must be in",
    ),
    "catalogue: read from a text": (lambda t: SourceCatalogASID(t.folder / "text.fits"), "can be read"),
    # Association
    "association: no names of catalogues": (lambda t: associate(t.candidates, [Table()]), "by name"),
    "association: catalogue a file name": (lambda t: associate(t.candidates, {"A": "a.fits"}), "but str"),
    "association: catalogue without positions": (
        lambda t: associate(t.candidates, {"A": Table({"a": [1]})}),
        "'A' has no columns ra and dec",
    ),
    "association: threshold 1": (lambda t: associate(t.candidates, {}, threshold=1), "between 0 and 1"),
    "association: error without a unit": (
        lambda t: associate(t.candidates, {}, position_error=0.1),
        "an angle above 0",
    ),
    "association: error negative": (
        lambda t: Counterparts.from_catalog("A", Table({"ra": [1], "dec": [1]}), -1 * u.deg),
        "an angle above 0",
    ),
    # Evaluation
    "evaluation: no list": (lambda t: evaluate_lists(truth(), []), "no candidate list"),
    "evaluation: a list for lists": (lambda t: evaluate_lists(truth(), judged()), "lists"),
    "evaluation: two lists of one name": (
        lambda t: evaluate_lists(truth(), [judged(), judged()]),
        "twice: name them apart",
    ),
    "evaluation: radius 0": (lambda t: evaluate_lists(truth(), [judged()], radius=0), "radius"),
    "evaluation: radius NaN": (lambda t: evaluate_lists(truth(), [judged()], radius=np.nan), "radius"),
    "evaluation: radius a text": (lambda t: evaluate_lists(truth(), [judged()], radius="1"), "radius"),
    "evaluation: purity 2": (lambda t: evaluate_lists(truth(), [judged()], purity=2), "purity"),
    "evaluation: latitudes reversed": (
        lambda t: evaluate_lists(truth(), [judged()], latitude=(5, 1)),
        "latitudes must rise",
    ),
    "evaluation: smallest flux NaN": (
        lambda t: evaluate_lists(truth(), [judged()], flux_min=np.nan),
        "smallest flux",
    ),
    "evaluation: truth without sources": (lambda t: evaluate_lists(truth(n=0), [judged()]), "no source"),
    "evaluation: truth a table": (lambda t: evaluate_lists(Table(), [judged()]), "Truth"),
    "evaluation: a flux negative": (lambda t: read_truth(t.folder / "negative.csv"), "not positive"),
    "evaluation: no column of the flux": (
        lambda t: read_truth(t.folder / "truth.csv", flux="S"),
        "no column 'S'",
    ),
    "evaluation: energies reversed": (
        lambda t: read_truth(t.folder / "truth.csv", energy_range=(100, 1)),
        "energ",
    ),
    "evaluation: truth a text": (lambda t: read_truth(t.folder / "text.fits"), "can be read"),
    "evaluation: truth a YAML of others": (lambda t: read_truth(t.folder / "list.yaml"), "Gammapy models"),
    "evaluation: no column of the score": (
        lambda t: read_candidate_list(t.folder / "positions.csv", "a"),
        "no column score",
    ),
    # Files of others, simulation, training
    "fermipy: no candidates": (lambda t: write_fermipy(t.candidates[:0], "x", "a", "b"), "no candidates"),
    "fermipy: no events": (lambda t: write_fermipy(t.candidates, "x"), "events"),
    "fermipy: width of the region negative": (
        lambda t: write_fermipy(t.candidates, "x", "a", "b", roi_width=-1),
        "roi_width must be between",
    ),
    "fermipy: a section that is none": (
        lambda t: write_fermipy(t.candidates, "x", "a", "b", config={"a": {}}),
        "no section a",
    ),
    "fermipy: a mass as an energy": (
        lambda t: write_fermipy(t.candidates, "x", "a", "b", config={"selection": {"emin": 1 * u.kg}}),
        "in kg",
    ),
    "fermipy: results a text": (lambda t: read_fermipy(t.folder / "text.fits"), "fermipy"),
    "fermipy: results that do not exist": (lambda t: read_fermipy("nothing.npy"), "No such"),
    "maps: counts that do not exist": (lambda t: dataset_from_files("a", "b", "c"), "No such"),
    "maps: counts a table": (
        lambda t: dataset_from_files(*[t.folder / "table.fits"] * 3),
        "table.fits",
    ),
    "simulation: width negative": (lambda t: simulated_field(width=(-1, 2)), "width"),
    "simulation: width NaN": (lambda t: simulated_field(width=(np.nan, 2)), "width"),
    "simulation: latitude 100": (lambda t: simulated_field(center=(0, 100)), "latitude|Latitude"),
    "simulation: no livetime": (lambda t: simulated_field(livetime=0), "livetime"),
    "simulation: pixels of 0 deg": (lambda t: simulated_field(pixel_size=0), "pixel"),
    "simulation: pixels larger than the field": (
        lambda t: simulated_field(width=(5, 5), pixel_size=10),
        "pixel",
    ),
    "simulation: more pixels than memory": (
        lambda t: simulated_field(width=(100, 100), pixel_size=1e-4),
        "pixels",
    ),
    "simulation: seed negative": (lambda t: simulated_field(seed=-1), "seed|non-negative"),
    "recipe: unknown": (lambda t: read_recipe("nothing"), "nothing"),
    "recipe: a text": (lambda t: read_recipe(t.folder / "text.yaml"), "text.yaml"),
    "recipe: a list": (lambda t: read_recipe(t.folder / "list.yaml"), "list.yaml"),
}


@pytest.mark.parametrize("case", CALLS)
def test_bad_calls(toy, case):
    call, message = CALLS[case]
    with pytest.raises(ERRORS, match=message) as caught:
        call(toy)
    text = str(caught.value)
    assert len(text) > 12 and "Traceback" not in text


#: Arguments of the command line, and what the one line says.
COMMANDS = {
    "no command": ("nothing", "No such command"),
    "detect": ("detect", "Missing argument"),
    "detect nothing.fits": ("detect nothing.fits", "does not exist"),
    "detect FOLDER": ("detect .", "is a directory"),
    "detect text.fits": ("detect text.fits -o new.fits", "text.fits"),
    "detect table.fits": ("detect table.fits -o new.fits", "COUNTS"),
    "detect text.yaml": ("detect text.yaml -o new.fits", "YAML"),
    "detect list.yaml": ("detect list.yaml -o new.fits", "Gammapy dataset"),
    "detect candidates.fits": ("detect candidates.fits -o new.fits", "candidates"),
    "detect twice the same file": ("detect field.fits.gz field.fits.gz -o new.fits", "given twice"),
    "detect --threshold 2": ("detect field.fits.gz --threshold 2 -o new.fits", "from 0 up to 1"),
    "detect --threshold x": ("detect field.fits.gz --threshold x", "'x' is no number"),
    "detect --model x": ("detect field.fits.gz --model x -o new.fits", "Unknown model 'x'"),
    "detect --models table.fits": ("detect field.fits.gz --models table.fits -o new.fits", "table.fits"),
    "detect -o of a file in the way": ("detect field.fits.gz -o text.fits/c.fits", "Nothing can be written"),
    "detect -o existing": ("detect field.fits.gz -o candidates.fits", "--overwrite"),
    "detect -o input": ("detect field.fits.gz -o field.fits.gz --overwrite", "is read"),
    "flux without sources": ("flux field.fits.gz", "Missing option '--sources'"),
    "flux --sources table.fits": ("flux field.fits.gz --sources table.fits -o new.fits", "no columns ra"),
    "flux --sources text.yaml": ("flux field.fits.gz --sources text.yaml -o new.fits", "text.yaml"),
    "flux --e-min 100 --e-max 1": (
        "flux field.fits.gz --sources positions.csv --e-min 100 --e-max 1 -o new.fits",
        "e_min must be below e_max",
    ),
    "flux --e-max 1e9": (
        "flux field.fits.gz --sources positions.csv --e-max 1e9 -o new.fits",
        "the data hold",
    ),
    "flux -o new.txt": ("flux field.fits.gz --sources positions.csv -o new.txt", "must end in .fits"),
    "extension --model lat": (
        "extension field.fits.gz --sources positions.csv --model lat -o new.fits",
        "lat",
    ),
    "fit --candidates table.fits": ("fit field.fits.gz --candidates table.fits -o new.fits", "no columns ra"),
    "fit --width 0": ("fit field.fits.gz --candidates candidates.fits --width 0 -o new.fits", "width"),
    "fit --width 500": ("fit field.fits.gz --candidates candidates.fits --width 500 -o new.fits", "width"),
    "fit --jobs 0": ("fit field.fits.gz --candidates candidates.fits --jobs 0", "not in the range"),
    "fit --ts -1": ("fit field.fits.gz --ts -1 -o new.fits", "ts"),
    "catalog": ("catalog", "Give FILES"),
    "catalog --counts alone": ("catalog --counts field.fits.gz", "--exposure, --psf"),
    "catalog --associate A": ("catalog field.fits.gz --associate A", "NAME=FILE"),
    "catalog --associate A=nothing": (
        "catalog field.fits.gz --associate A=no.fits -o new.fits",
        "No such file",
    ),
    "catalog --associate without positions": (
        "catalog field.fits.gz --associate A=table.fits -o new.fits",
        "'A' has no columns ra",
    ),
    "catalog --folder of a file": (
        "catalog field.fits.gz --associate A=positions.csv --folder text.fits -o new.fits",
        "text.fits",
    ),
    "evaluate without lists": ("evaluate truth.csv", "Missing argument"),
    "evaluate with a list that is not there": ("evaluate truth.csv no.fits -o new", "No such file"),
    "evaluate two lists of one name": (
        "evaluate truth.csv a=truth.csv a=truth.csv -o new",
        "twice: name them apart",
    ),
    "evaluate --radius -1": ("evaluate truth.csv truth.csv --radius -1 -o new", "radius"),
    "evaluate --energy-range 100 1": ("evaluate truth.csv truth.csv --energy-range 100 1 -o new", "energ"),
    "evaluate --dataset that is none": ("evaluate truth.csv truth.csv --dataset table.fits -o new", "COUNTS"),
    "fermipy write without events": ("fermipy write candidates.fits -o new", "events"),
    "fermipy write --roi-width -1": (
        "fermipy write candidates.fits --evfile a --scfile b --roi-width -1 -o new",
        "--roi-width",
    ),
    "fermipy write table.fits": ("fermipy write table.fits --evfile a --scfile b -o new", "no columns ra"),
    "fermipy read text.fits": ("fermipy read text.fits -o new.fits", "fermipy"),
    "simulate --width -1 2": ("simulate --width -1 2 -o new", "width"),
    "simulate --pixel-size 0": ("simulate --pixel-size 0 -o new", "pixel"),
    "simulate --livetime nan": ("simulate --livetime nan -o new", "livetime"),
    "simulate --seed -1": ("simulate --seed -1 -o new", "seed|non-negative"),
    "train": ("train", "give a recipe"),
    "train nothing": ("train nothing -o new", "nothing"),
    "train text.yaml": ("train text.yaml -o new", "text.yaml"),
    "train --epochs 0": ("train lat --epochs 0", "not in the range"),
    "train --workers -1": ("train lat --workers -1 -o new", "not in the range"),
    "train --dataset table.fits": ("train --dataset table.fits -o new", "COUNTS"),
}


@pytest.mark.parametrize("case", COMMANDS)
@pytest.mark.filterwarnings("ignore:Checksum verification failed")
def test_bad_commands(toy, case, monkeypatch):
    arguments, message = COMMANDS[case]
    monkeypatch.chdir(toy.folder)
    before = sorted(os.listdir())
    result = CliRunner().invoke(main, arguments.split())
    assert result.exit_code == 2, result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert re.search(message, result.output)
    left = [path for path in Path().rglob("new*") if path.is_file()]
    assert not left and set(os.listdir()) - set(before) <= {"new", "asid-evaluation", "runs"}


def test_unusual_input_that_has_a_right_result(toy):
    # One position without an axis
    assert len(toy.fluxes.run(toy.field, toy.positions[0])) == 1
    # No source
    assert len(toy.fluxes.run(toy.field, toy.positions[:0])) == 0
    assert len(toy.fits.run(toy.field, toy.candidates[:0])) == 0
    assert len(toy.candidates[:0].to_models()) == len(toy.candidates[:0].to_regions()) == 0
    # Outside, and nowhere
    places = SkyCoord([10.0, 200.0, np.nan], [0.0, 0.0, np.nan], unit="deg", frame="galactic")
    fluxes = toy.fluxes.run(toy.field, places).table
    assert (fluxes["flags"] & CandidateFlag.OUTSIDE > 0).tolist() == [False, True, True]
    assert np.isfinite(fluxes["flux"]).tolist() == [True, False, False]
    axes = np.full((3, 2), 0.05) * u.deg
    listed = Candidates.from_positions(places, np.full(3, 0.9), axes, axes)
    fitted = toy.fits.run(toy.field, listed).table
    assert np.isfinite(fitted["ts"]).tolist() == [True, False, False]
    assert (fitted["flags"] & CandidateFlag.FIT_FAILED > 0).tolist() == [False, True, True]
    # Data of nothing but zeros
    nothing = toy.field.copy(name="field")
    nothing.counts.data[:] = 0
    assert len(DLSourceDetector("lat").run(nothing)) == 0
    cube = to_band_cube(toy.field, toy.detector.bands)
    assert len(toy.fluxes.run(cube, toy.positions[:1])) == 1
    assert isinstance(toy.field, MapDataset) and toy.field.models is None
