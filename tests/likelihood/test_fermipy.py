# Licensed under a 3-clause BSD style license - see LICENSE
import ast
import gc
import inspect
import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
import yaml
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable, Table
from click.testing import CliRunner
from gammapy.datasets import Datasets, FermipyDatasetsReader
from gammapy.maps import WcsGeom, WcsNDMap
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gammapy_asid.catalog.candidates import Candidates
from gammapy_asid.catalog.columns import FIT_COLUMNS, CandidateFlag
from gammapy_asid.cli import main
from gammapy_asid.inputs import to_band_cube
from gammapy_asid.likelihood.fermipy import (
    fermipy_config,
    read_fermipy,
    source_dicts,
    source_xml,
    write_fermipy,
)
from gammapy_asid.likelihood.fermipy.config import SECTIONS

ENERGIES = np.geomspace(0.3, 500, 7) * u.GeV
FILES = {"evfile": "ft1.fits", "scfile": "ft2.fits"}


def make_candidates(rows, e_range=(0.5, 500.0)):
    """Candidates with fits: rows of ra, dec, kind, flux, index, beta, e_ref and sigma (0 for a point)."""
    ra, dec, kind, flux, index, beta, e_ref, sigma = (list(column) for column in zip(*rows, strict=True))
    axes = np.tile([0.02, 0.01], (len(rows), 1)) * u.deg
    positions = SkyCoord(ra, dec, unit="deg")
    candidates = Candidates.from_positions(
        positions, np.full(len(rows), 0.9), axes, 2 * axes, meta={"energy_range": [0.3, 1000.0]}
    )
    n = len(rows)
    columns = {c.name: np.full(n, np.nan) for c in FIT_COLUMNS if c.dtype == "f8"}
    columns["fit_spectrum"] = np.array(kind, dtype="U12")
    columns |= {"fit_flux": flux, "fit_index": index, "fit_beta": beta, "fit_e_ref": e_ref}
    columns |= {"fit_e_min": [e_range[0]] * n, "fit_e_max": [e_range[1]] * n, "fit_sigma": sigma}
    columns["ts_ext"] = np.where(np.array(sigma) > 0, 50.0, 1.0)
    columns["ts"] = np.arange(n) + 30.0
    units = {c.name: c.unit for c in FIT_COLUMNS}
    table = {
        c.name: np.array(columns[c.name]) if units[c.name] is None else columns[c.name] * u.Unit(c.unit)
        for c in FIT_COLUMNS
    }
    return candidates.with_columns(QTable(table))


@pytest.fixture
def candidates():
    return make_candidates(
        [
            (83.633, 22.014, "lp", 1e-7, 2.1, 0.05, 1.0, 0.0),
            (85.2, 21.1, "pl", 3e-10, 1.7, np.nan, 2.5, 0.0),
            (84.0, 23.4, "pl", 2e-9, 2.3, np.nan, 1.0, 0.35),
            (82.9, 20.2, "", np.nan, np.nan, np.nan, np.nan, 0.0),
        ]
    )


@pytest.fixture(scope="session")
def roi_model():
    """fermipy's `ROIModel`; importing it leaves files and a process open."""
    pytest.importorskip("fermipy", reason="fermipy is not installed", exc_type=ImportError)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fermipy import roi_model

        roi_model.get_function_defaults("PowerLaw")
        # Starting a process cleans up after those that fermipy left
        subprocess.run([sys.executable, "-c", ""], check=True)
        gc.collect()
    return roi_model


def roi_spectrum(source):
    """dN/dE of a source of fermipy at `ENERGIES` from its true parameters, by the formulae of gtlike."""
    energies = ENERGIES.to_value("MeV")
    p = {name: par["value"] for name, par in source.params.items()}
    if source["SpectrumType"] == "PowerLaw":
        return p["Prefactor"] * (energies / p["Scale"]) ** p["Index"]
    x = energies / p["Eb"]
    return p["norm"] * x ** -(p["alpha"] + p["beta"] * np.log(x))


def assert_equal_models(roi, candidates):
    """Positions, spectra and widths of a ROI are those of candidates."""
    for model in candidates.to_models():
        source = roi[model.name]
        position = model.spatial_model.position.icrs
        assert position.separation(source.skydir).deg < 1e-6
        expected = model.spectral_model(ENERGIES).to_value("cm-2 s-1 MeV-1")
        np.testing.assert_allclose(roi_spectrum(source), expected, rtol=1e-9)
        if "sigma" in model.parameters.names:
            sigma = model.parameters["sigma"].quantity.to_value("deg")
            assert source["SpatialModel"] == "RadialGaussian"
            assert source.spatial_pars["Sigma"]["value"] == pytest.approx(sigma, rel=1e-9)
            assert source["SpatialWidth"] == pytest.approx(sigma * 1.5095922, rel=1e-6)
            assert source.extended
        else:
            assert source["SpatialModel"] == "PointSource"
            assert not source.extended


def roi_from_config(roi_model, config):
    centre = SkyCoord(config["selection"]["ra"], config["selection"]["dec"], unit="deg")
    return roi_model.ROIModel({"sources": config["model"]["sources"]}, skydir=centre)


def test_dictionaries(candidates):
    curved, straight, wide, unknown = source_dicts(candidates)
    assert curved["SpectrumType"] == "LogParabola"
    assert curved["alpha"] == 2.1 and curved["beta"] == 0.05 and curved["Eb"] == pytest.approx(1000)
    assert straight["Index"] == 1.7 and straight["Scale"] == pytest.approx(2500)
    # Integral of Prefactor * (E / Scale)**-1.7 from 0.5 to 500 GeV, in MeV
    integral = 2500 / 0.7 * ((500 / 2500) ** -0.7 - (5e5 / 2500) ** -0.7)
    assert straight["Prefactor"] * integral == pytest.approx(3e-10, rel=1e-6)
    assert wide["SpatialModel"] == "RadialGaussian"
    assert wide["SpatialWidth"] == pytest.approx(1.5095922 * 0.35, rel=1e-6)
    assert unknown["Prefactor"] == pytest.approx(1e-12)
    assert {type(v) for s in source_dicts(candidates) for v in s.values()} == {float, str}


def test_pulsars_have_the_same_spectrum():
    """fermipy's older spectrum with the cutoff energy is that of 4FGL-DR3 in other terms."""
    pulsars = make_candidates(
        [(83, 22, "plec", 1e-9, 1.8, 0.3, 1.5, 0.0), (84, 22, "plec", 1e-9, 2.2, 0.0, 1.5, 0.0)]
    )
    source, uncut = source_dicts(pulsars)
    assert source["SpectrumType"] == "PLSuperExpCutoff" and source["Index2"] == pytest.approx(2 / 3)
    energies = ENERGIES.to_value("MeV")
    own = (energies / source["Scale"]) ** -source["Index1"]
    own *= source["Prefactor"] * np.exp(-((energies / source["Cutoff"]) ** source["Index2"]))
    law = pulsars.to_models()[0].spectral_model
    assert law.index_1.value == 1.8 and law.expfactor.value == pytest.approx(0.6)
    np.testing.assert_allclose(own, law(ENERGIES).to_value("cm-2 s-1 MeV-1"), rtol=1e-9)
    assert uncut["SpectrumType"] == "PowerLaw" and uncut["Index"] == 2.2
    names = ("Prefactor", "Index1", "Index2", "Scale", "Cutoff")
    xml = source_xml(pulsars)
    assert all(f'name="{name}"' in xml for name in names)


def test_xml_and_config_are_loaded_by_fermipy(candidates, roi_model, tmp_path):
    config_file, xml, _ = write_fermipy(candidates, tmp_path / "out", **FILES)
    config = yaml.safe_load(config_file.read_text())
    roi = roi_from_config(roi_model, config)
    assert len(roi.sources) == 4
    assert_equal_models(roi, candidates)
    assert all(list(s.params)[0] and s.is_free for s in roi.sources)
    loaded = roi_model.ROIModel({"catalogs": [str(xml)]}, skydir=candidates.positions[0])
    assert len(loaded.sources) == 4
    assert_equal_models(loaded, candidates)
    # Parameters of the same source from both are free alike and within their limits
    for source in loaded.sources:
        for name, parameter in source.spectral_pars.items():
            assert parameter["free"] == roi[source.name].spectral_pars[name]["free"]
            assert parameter["min"] <= parameter["value"] <= parameter["max"]


def decimals(low, high):
    """Numbers with four decimals: fermipy divides by zero for those near the smallest."""
    return st.floats(low, high).map(lambda x: round(x, 4))


source_rows = st.tuples(
    st.floats(0, 359.99),
    st.floats(-89, 89),
    st.sampled_from(["pl", "lp", ""]),
    st.floats(-13, -5).map(lambda x: 10**x),
    # Gammapy warns of its own division for an index of 1
    decimals(-1, 6).filter(lambda x: x != 1),
    decimals(-0.5, 1),
    st.floats(0.1, 100),
    st.just(0.0) | st.floats(0.01, 3),
)


@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=st.lists(source_rows, min_size=1, max_size=4, unique_by=lambda row: (round(row[0]), row[1] > 0)))
def test_any_candidates_come_back(roi_model, tmp_path, rows):
    candidates = make_candidates(rows)
    config = yaml.safe_load(yaml.safe_dump(fermipy_config(candidates, **FILES, roi_width=10)))
    assert_equal_models(roi_from_config(roi_model, config), candidates)
    path = tmp_path / "sources.xml"
    path.write_text(source_xml(candidates))
    assert_equal_models(roi_model.ROIModel({"catalogs": [str(path)]}), candidates)
    back = read_fermipy(path)
    order = [list(back.table["name"]).index(name) for name in candidates.table["name"]]
    back = back[order]
    assert candidates.positions.separation(back.positions).deg.max() < 1e-6
    for own, other in zip(candidates.to_models(), back.to_models(), strict=True):
        np.testing.assert_allclose(
            own.spectral_model(ENERGIES).value,
            other.spectral_model(ENERGIES).to_value(own.spectral_model(ENERGIES).unit),
            rtol=1e-6,
        )
    wide = candidates.table["fit_sigma"] > 0
    np.testing.assert_allclose(back.table["fit_sigma"][wide], candidates.table["fit_sigma"][wide], rtol=1e-6)
    assert np.isnan(back.table["fit_sigma"][~wide]).all()


def gtanalysis_class():
    """Syntax tree of fermipy's GTAnalysis, which can't be imported without the Fermitools."""
    source = Path(find_spec("fermipy").origin).with_name("gtanalysis.py").read_text()
    return next(n for n in ast.parse(source).body if getattr(n, "name", "") == "GTAnalysis")


def test_config_is_complete_for_fermipy(candidates, roi_model, tmp_path):
    from fermipy import config, defaults

    (sections,) = [
        node.value
        for node in gtanalysis_class().body
        if isinstance(node, ast.Assign) and node.targets[0].id == "defaults"
    ]
    schema = eval(compile(ast.Expression(sections), "gtanalysis", "eval"), {"defaults": defaults})
    assert set(SECTIONS) == set(schema)
    for name in ("gal.fits", "iso.txt"):
        (tmp_path / name).touch()
    model = {"galdiff": str(tmp_path / "gal.fits"), "isodiff": str(tmp_path / "iso.txt")}
    path, _, _ = write_fermipy(candidates, tmp_path / "out", **FILES, config={"model": model})
    full = config.ConfigSchema(schema).create_config(yaml.safe_load(path.read_text()))
    assert full["data"]["evfile"] == "ft1.fits"
    assert full["selection"]["emin"] == 300 and full["selection"]["emax"] == 1e6
    assert isinstance(full["model"]["sources"][0]["norm"], float)
    roi = roi_model.ROIModel.create(
        full["selection"], full["model"], fileio=full["fileio"] | {"outdir": str(tmp_path)}, coordsys="CEL"
    )
    assert sorted(s.name for s in roi.diffuse_sources) == ["galdiff", "isodiff"]
    assert_equal_models(roi, candidates)


def test_region(candidates):
    config = fermipy_config(candidates, **FILES)
    centre = SkyCoord(config["selection"]["ra"], config["selection"]["dec"], unit="deg")
    assert centre.separation(candidates.positions).deg.max() < 3
    assert config["binning"]["roiwidth"] == 10
    assert config["model"]["src_roiwidth"] == 20
    far = make_candidates(
        [(0.0, 0.0, "", np.nan, 0, 0, 1, 0.0), (20.0, 0.0, "", np.nan, 0, 0, 1, 0.0)],
    )
    config = fermipy_config(far, **FILES)
    assert config["binning"]["roiwidth"] == 26
    assert config["selection"]["ra"] == pytest.approx(10)
    assert fermipy_config(far, **FILES, roi_width=30 * u.deg)["binning"]["roiwidth"] == 30
    # Across the zero of right ascension
    near = make_candidates([(r, 5.0, "", np.nan, 0, 0, 1, 0.0) for r in (359.0, 1.0)])
    ra = fermipy_config(near, **FILES)["selection"]["ra"]
    assert min(ra, 360 - ra) < 1e-6
    everywhere = make_candidates([(r, 5.0, "", np.nan, 0, 0, 1, 0.0) for r in (0.0, 90.0, 180.0)])
    with pytest.raises(ValueError, match="too far for one"):
        fermipy_config(everywhere, **FILES)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"binning": {"roiwidth": "wide"}}, "binning: roiwidth is an angle, got 'wide'"),
        ({"binning": {"roiwidth": -3}}, "binning: roiwidth must be between 0 and 180 deg"),
        ({"selection": {"ra": 83}}, "ra and dec must be two angles in deg, got 83 and None"),
        ({"selection": {"glon": 1, "glat": 200}}, "glon and glat must be two angles in deg"),
        ({"model": {"sources": ["Crab"]}}, "model: sources must be a list of sections"),
        ({"components": [1]}, "components must be a list of sections"),
    ],
)
def test_entries_that_are_none(candidates, config, message):
    with pytest.raises(ValueError, match=message):
        fermipy_config(candidates, **FILES, config=config)


@pytest.mark.parametrize("width", [True, "wide", [5, 6], 3 * u.m, np.nan])
def test_widths_that_are_none(candidates, width):
    with pytest.raises(ValueError, match="roi_width"):
        fermipy_config(candidates, **FILES, roi_width=width)
    assert fermipy_config(candidates, **FILES, roi_width="5")["binning"]["roiwidth"] == 5


def test_own_configuration_takes_precedence(candidates, tmp_path):
    (tmp_path / "events.fits").touch()
    own = {
        "data": {"evfile": "events.fits", "scfile": "$DATA/sc.fits"},
        "binning": {"roiwidth": 6.0, "coordsys": "GAL"},
        "selection": {"glon": 184.5, "glat": -5.8, "logemin": 3.0, "logemax": 5.5},
        "gtlike": {"edisp_bins": 0},
        "model": {"sources": [{"name": "mine", "ra": 1.0, "dec": 2.0}], "catalogs": ["4FGL-DR3"]},
        "components": [{"model": {"isodiff": "iso_PSF3.txt"}, "selection": {"evtype": 32}}],
        "fileio": {"outdir": "earlier", "usescratch": False},
        "sed": None,
    }
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(own))
    config = fermipy_config(candidates, config=path, ltcube="none.fits")
    assert config["data"] == {
        "evfile": str(tmp_path / "events.fits"),
        "scfile": "$DATA/sc.fits",
        "ltcube": "none.fits",
    }
    assert config["binning"]["roiwidth"] == 6 and config["binning"]["binsz"] == 0.1
    assert not {"ra", "dec", "emin", "emax"} & set(config["selection"])
    assert config["gtlike"] == {
        "irfs": "P8R3_SOURCE_V3",
        "edisp": True,
        "edisp_bins": 0,
        "edisp_disable": ["isodiff"],
    }
    assert "isodiff" not in config["model"] and "galdiff" in config["model"]
    assert [s["name"] for s in config["model"]["sources"]] == ["mine", *candidates.table["name"]]
    again = fermipy_config(candidates, config=config)
    assert [s["name"] for s in again["model"]["sources"]] == ["mine", *candidates.table["name"]]
    assert config["components"] == own["components"]
    assert config["fileio"] == {"usescratch": False}
    other = fermipy_config(candidates, **FILES, config={"model": {"diffuse_xml": ["d.xml"]}})
    assert not {"isodiff", "galdiff"} & set(other["model"])
    target = fermipy_config(candidates, **FILES, config={"selection": {"target": "Crab"}})
    assert "ra" not in target["selection"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "is not a valid YAML file"),
        ("- 1", "it has no sections"),
        ("", "it has no sections"),
        ("network: {a: 1}", "it has no section network"),
        ("model: 3", "model must be a section"),
    ],
)
def test_other_files_are_no_configuration(candidates, tmp_path, text, message):
    path = tmp_path / "other.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        fermipy_config(candidates, **FILES, config=path)


def test_bad_input_of_the_hand_off(candidates, tmp_path):
    with pytest.raises(ValueError, match="no candidates"):
        write_fermipy(candidates[:0], tmp_path, **FILES)
    with pytest.raises(ValueError, match=r"events \(FT1\)"):
        write_fermipy(candidates, tmp_path)
    with pytest.raises(ValueError, match="scfile"):
        write_fermipy(candidates, tmp_path, evfile="ft1.fits")
    with pytest.raises(FileNotFoundError, match="no.yaml"):
        write_fermipy(candidates, tmp_path, config=tmp_path / "no.yaml")
    with pytest.raises(FileNotFoundError, match="create it first"):
        write_fermipy(candidates, tmp_path / "a" / "b", **FILES)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("names", "message"),
    [(["A B", "ab"], "'A B' and 'ab' are one name for fermipy"), (["x\x07", "y"], "can't be written to XML")],
)
def test_names_that_fermipy_can_not_take(names, message):
    axes = np.full((2, 2), 0.1) * u.deg
    found = Candidates.from_positions(SkyCoord([83, 84], [22, 23], unit="deg"), [0.9, 0.8], axes, axes)
    table = found.table.copy()
    table["name"] = names
    with pytest.raises(ValueError, match=message):
        fermipy_config(Candidates(table), **FILES)


def test_never_overwrites_by_itself(candidates, tmp_path):
    (tmp_path / "analysis.py").write_text("mine")
    with pytest.raises(FileExistsError, match="analysis.py"):
        write_fermipy(candidates, tmp_path, **FILES)
    assert [path.name for path in tmp_path.iterdir()] == ["analysis.py"]
    paths = write_fermipy(candidates, tmp_path, **FILES, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    assert "mine" not in paths[2].read_text()


# Stands for fermipy.gtanalysis: keeps what is called, in the order of the calls.
STUB = """
import json

CALLS = []


class Source(dict):
    name = "isodiff"


class Roi(dict):
    diffuse_sources = [Source()]

    def __missing__(self, name):
        return {"ts": 30.0 if name.endswith("2200") else 5.0}


class GTAnalysis:
    def __init__(self, *args, **options):
        CALLS.append(["__init__", args, options])
        self.config, self.roi = {"gtlike": {"edisp_bins": EDISP_BINS}}, Roi()

    def __getattr__(self, name):
        def method(*args, **options):
            CALLS.append([name, args, options])
            if name == "localize" and args[0].endswith("2106"):
                raise RuntimeError("no peak")
            if name == "write_roi" and args == ("results",):
                with open("calls.json", "w") as file:
                    json.dump(CALLS, file)

        method.__name__ = name
        return method
"""


def run_script(script, folder, edisp_bins=-1):
    package = folder / "stub" / "fermipy"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "gtanalysis.py").write_text(STUB.replace("EDISP_BINS", str(edisp_bins)))
    environment = os.environ | {"PYTHONPATH": str(package.parent)}
    run = subprocess.run(
        [sys.executable, str(script)], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return json.loads((folder / "calls.json").read_text()), run.stdout


def test_script(candidates, tmp_path):
    config, _, script = write_fermipy(candidates, tmp_path / "out", **FILES)
    compile(script.read_text(), str(script), "exec")
    calls, output = run_script(script, tmp_path)
    names = list(candidates.table["name"])
    assert calls[0] == ["__init__", [str(config)], {}]
    steps = [name for name, _, _ in calls if not name.startswith("free")]
    each = len(names)
    assert steps == (
        ["__init__", "setup", "optimize", "fit", "write_roi"]
        + ["localize"] * each
        + ["extension"] * each
        + ["fit"]
        + ["sed"] * each
        + ["print_roi", "write_roi"]
    )
    for method in ("localize", "extension", "sed"):
        assert [args for name, args, _ in calls if name == method] == [[name] for name in names]
    (extension, *_) = [options for name, _, options in calls if name == "extension"]
    assert extension["update"] and extension["sqrt_ts_threshold"] == 4
    # One that fails stops no other
    assert output.count("failed: no peak") == 1
    bright = [args[0] for name, args, options in calls if options.get("pars") == "shape"]
    assert bright == [names[0]] * 2


def test_script_makes_files_for_gammapy(candidates, tmp_path):
    _, _, script = write_fermipy(candidates, tmp_path / "out", **FILES)
    calls, _ = run_script(script, tmp_path, edisp_bins=0)
    assert ["compute_psf", [], {"overwrite": True}] in calls
    assert ["compute_drm", [], {"edisp_bins": 0, "overwrite": True}] in calls


def test_script_calls_methods_that_fermipy_has(candidates, roi_model, tmp_path):
    from fermipy import defaults

    folder = Path(find_spec("fermipy").origin).parent
    methods = {}
    for file in ("sourcefind", "extension", "sed", "gtanalysis"):
        for node in ast.parse((folder / f"{file}.py").read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name in (
                "SourceFind",
                "ExtensionFit",
                "SEDGenerator",
                "GTAnalysis",
            ):
                methods |= {m.name: m.args for m in node.body if isinstance(m, ast.FunctionDef)}
    _, _, script = write_fermipy(candidates, tmp_path / "out", **FILES)
    calls, _ = run_script(script, tmp_path, edisp_bins=0)
    for name, args, options in calls:
        scope = {"logging": logging}
        exec(f"def method({ast.unparse(methods[name])}): pass", scope)
        inspect.signature(scope["method"]).bind(None, *args, **options)
        schema = {"localize": defaults.localize, "extension": defaults.extension, "sed": defaults.sed}
        assert options.keys() <= schema.get(name, options).keys()


def result_of_fermipy(candidates, roi_model, folder, coordsys="CEL"):
    """What gta.write_roi writes, by fermipy's own code as far as it runs without the Fermitools."""
    config = fermipy_config(candidates, **FILES, config={"binning": {"coordsys": coordsys}})
    roi = roi_from_config(roi_model, config)
    for i, source in enumerate(roi.sources):
        for parameter in source.spectral_pars.values():
            parameter["error"] = 0.1 * abs(parameter["value"])
        source.set_spectral_pars(source.spectral_pars)
        source["ts"], source["flux_err"], source["flux"] = 40.0 + i, 1e-11, 5e-10
        source["pos_err"] = np.sqrt(0.02 * 0.01)
        source["pos_err_semimajor"], source["pos_err_semiminor"] = 0.02, 0.01
        source["pos_r68"], source["pos_r95"] = (np.sqrt(x) * source["pos_err"] for x in (2.30, 5.99))
        source["pos_angle"] = 60.0
    diffuse = roi_model.IsoSource("isodiff", {"Spectrum_Filename": "iso.txt"})
    energies = np.geomspace(500, 5e5, 25)
    result = {
        "roi": {"energies": energies, "loglike": np.float64(-1.0), "components": [{"npred": 3.0}]},
        "config": config,
        "version": "1.4.3",
        "stversion": "unknown",
        "sources": {s.name: s.data for s in [*roi.sources, diffuse]},
        "lck_params": {},
    }
    np.save(folder / "results.npy", result)
    with warnings.catch_warnings():
        # fermipy gives columns a format that FITS has not
        warnings.filterwarnings("ignore", "Format .* cannot be mapped")
        table = fits.table_to_hdu(roi.create_table())
    table.name = "CATALOG"
    table.header["CONFIG"] = json.dumps(config)
    edges = fits.table_to_hdu(Table({"energies": [energies, energies]}))
    edges.name = "ROI"
    fits.HDUList([fits.PrimaryHDU(), table, edges]).writeto(folder / "results.fits")
    return roi


@pytest.mark.parametrize("suffix", ["npy", "fits"])
def test_results_become_candidates(candidates, roi_model, tmp_path, suffix):
    roi = result_of_fermipy(candidates, roi_model, tmp_path)
    back = read_fermipy(tmp_path / f"results.{suffix}")
    assert len(back) == 4 and set(back.table["name"]) == set(candidates.table["name"])
    assert np.isnan(back.table["score"]).all()
    order = [list(back.table["name"]).index(name) for name in candidates.table["name"]]
    back = back[order]
    table = back.table
    assert table["ts"].tolist() == [roi[name]["ts"] for name in candidates.table["name"]]
    np.testing.assert_allclose(table["sqrt_ts"] ** 2, table["ts"])
    assert back.positions.separation(candidates.positions).deg.max() < 1e-6
    np.testing.assert_allclose(table["semi_major_95"].value, 0.02 * np.sqrt(-2 * np.log(0.05)))
    np.testing.assert_allclose(table["fit_semi_minor_68"].value, 0.01 * np.sqrt(-2 * np.log(0.32)))
    np.testing.assert_allclose(table["pos_angle"].value, 30)
    np.testing.assert_allclose(table["fit_e_min"].value, 0.5)
    np.testing.assert_allclose(table["fit_e_max"].value, 500)
    np.testing.assert_allclose(table["fit_flux_err"].value, 1e-11)
    assert list(table["fit_spectrum"]) == ["lp", "pl", "pl", "pl"]
    np.testing.assert_allclose(table["fit_index"], [2.1, 1.7, 2.3, 2.0])
    np.testing.assert_allclose(table["fit_index_err"], 0.1 * table["fit_index"])
    np.testing.assert_allclose(table["fit_beta"], [0.05] + [np.nan] * 3)
    np.testing.assert_allclose(table["fit_sigma"].value, [np.nan, np.nan, 0.35, np.nan], rtol=1e-6)
    for own, other in zip(candidates.to_models(), back.to_models(), strict=True):
        np.testing.assert_allclose(
            other.spectral_model(ENERGIES).to_value("cm-2 s-1 MeV-1"),
            own.spectral_model(ENERGIES).to_value("cm-2 s-1 MeV-1"),
            rtol=1e-6,
        )
    back.write(tmp_path / "back.fits")
    assert len(Candidates.read(tmp_path / "back.fits").to_catalog().table) == 4


def test_results_are_matched_with_candidates(candidates, roi_model, tmp_path):
    result_of_fermipy(candidates[:3], roi_model, tmp_path)
    name = str(candidates.table["name"][1])
    extension = fits.table_to_hdu(Table({"ts_ext": [20.0], "ext": [0.3], "ext_err": [0.05]}))
    extension.name = "EXT_DATA"
    file = tmp_path / f"{name.lower().replace(' ', '_')}_ext.fits"
    fits.HDUList([fits.PrimaryHDU(), extension]).writeto(file)
    back = read_fermipy(tmp_path / "results.npy", candidates)
    assert list(back.table["name"]) == list(candidates.table["name"])
    assert back.table["score"].tolist() == [0.9] * 4
    assert back.table["flags"].tolist() == [0, 0, 0, CandidateFlag.FIT_FAILED]
    assert np.isfinite(back.table["ts"]).tolist() == [True, True, True, False]
    assert back.table["ts_ext"][1] == 20
    assert back.table["fit_sigma"][1].to_value("deg") == pytest.approx(0.3 / 1.5095922)
    assert back.table["fit_sigma_err"][1].to_value("deg") == pytest.approx(0.05 / 1.5095922)
    assert back.to_models()[name].spatial_model.tag[1] == "gauss"
    assert back.meta["fit"] == {"program": "fermipy 1.4.3", "file": "results.npy"}
    file.write_bytes(b"no FITS")
    with pytest.raises(ValueError, match="gta.extension"):
        read_fermipy(tmp_path / "results.npy", candidates)
    file.unlink()
    other = make_candidates([(10.0, 10.0, "", np.nan, 0, 0, 1, 0.0)])
    with pytest.raises(ValueError, match="other sources"):
        read_fermipy(tmp_path / "results.npy", other)


@pytest.mark.parametrize(("frame", "coordsys"), [("icrs", "CEL"), ("galactic", "GAL")])
@pytest.mark.parametrize("angle", [0, 35, 110])
def test_angle_of_the_ellipse_is_that_of_a_ts_map(candidates, roi_model, tmp_path, frame, coordsys, angle):
    from fermipy.sourcefind_utils import fit_error_ellipse

    position = candidates.positions[0]
    geom = WcsGeom.create(npix=41, binsz=0.02, frame=frame, proj="AIT", skydir=position)
    east, north = position.spherical_offsets_to(geom.get_coord().skycoord.icrs)
    east, north, turn = east.deg, north.deg, np.radians(angle)
    along, across = east * np.sin(turn) + north * np.cos(turn), east * np.cos(turn) - north * np.sin(turn)
    ts = WcsNDMap(geom, 100 - (along / 0.08) ** 2 - (across / 0.04) ** 2)
    ellipse = fit_error_ellipse(ts, dpix=3)
    roi = result_of_fermipy(candidates[:1], roi_model, tmp_path, coordsys)
    (source,) = roi.sources
    for key in ("pos_err", "pos_err_semimajor", "pos_err_semiminor", "pos_r68", "pos_r95", "pos_angle"):
        source[key] = ellipse[key]
    result = load_trusted(tmp_path / "results.npy")
    result["sources"] = {source.name: source.data}
    np.save(tmp_path / "results.npy", result)
    row = read_fermipy(tmp_path / "results.npy").table[0]
    difference = (row["pos_angle"].to_value("deg") - angle + 90) % 180 - 90
    assert difference == pytest.approx(0, abs=0.1)
    assert row["semi_major_68"].to_value("deg") == pytest.approx(0.08 * np.sqrt(-2 * np.log(0.32)), rel=1e-3)


def load_trusted(path):
    return np.load(path, allow_pickle=True).item()


def test_other_spectra_keep_their_flux(candidates, roi_model, tmp_path, caplog):
    roi = result_of_fermipy(candidates, roi_model, tmp_path)
    result = load_trusted(tmp_path / "results.npy")
    name = roi.sources[0].name
    result["sources"][name]["SpectrumType"] = "PLSuperExpCutoff4"
    np.save(tmp_path / "results.npy", result)
    row = read_fermipy(tmp_path / "results.npy", candidates).table[list(candidates.table["name"]).index(name)]
    assert row["fit_spectrum"] == "" and row["fit_flux"].value == 5e-10
    assert "PLSuperExpCutoff4" in caplog.text


def test_python_names_of_fermipy_are_read(candidates, roi_model, tmp_path):
    result_of_fermipy(candidates, roi_model, tmp_path)
    from fermipy.data_struct import MutableNamedTuple

    result = load_trusted(tmp_path / "results.npy")
    own = MutableNamedTuple([("ts_ext", 30.0), ("ext", 0.2), ("ext_err", np.float32(0.01))])
    # As older versions have it, and as a catalogue of fermipy gives it
    for source in result["sources"].values():
        source["extension"], source["catalog"] = own, {"a": np.str_("b"), "c": np.bool_(True), "d": {1, 2}}
    np.save(tmp_path / "results.npy", result)
    assert read_fermipy(tmp_path / "results.npy").table["ts_ext"].tolist() == [30.0] * 4


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_runs_no_code(tmp_path):
    for name, content in (("evil", Evil(tmp_path / "made")), ("builtin", print), ("numpy", np.load)):
        path = tmp_path / f"{name}.npy"
        np.save(path, {"roi": {}, "config": {}, "sources": {"a": content}})
        with pytest.raises(ValueError, match="could run code"):
            read_fermipy(path)
    assert not (tmp_path / "made").exists()
    np.load(tmp_path / "evil.npy", allow_pickle=True)
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "content",
    [
        np.zeros(3),
        np.array([{}, {}], dtype=object),
        {"name": "a localisation"},
        {"sources": 1, "roi": {}, "config": {}},
        {"sources": {"a": {"name": "a"}}, "roi": {}, "config": {}},
        {"sources": {"a": 3}, "roi": {}, "config": {}},
    ],
)
def test_other_npy(tmp_path, content):
    path = tmp_path / "other.npy"
    np.save(path, content)
    with pytest.raises(ValueError, match="gta.write_roi"):
        read_fermipy(path)


@pytest.mark.parametrize("damage", ["short", "text", "empty", "pickle"])
def test_damaged_npy(tmp_path, damage):
    path = tmp_path / "results.npy"
    np.save(path, {"sources": {}, "roi": {}, "config": {}})
    whole = path.read_bytes()
    path.write_bytes({"short": whole[:-20], "text": b"hello", "empty": b""}.get(damage, pickle.dumps({})))
    with pytest.raises(ValueError, match="gta.write_roi"):
        read_fermipy(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no XML file"),
        ("hello", "is no XML file"),
        ("<html></html>", "starts with <html>"),
        ("<source_library><source name='a'/></source_library>", "no source library"),
        ("<source_library><source name='a' type='PointSource'/></source_library>", "no spectrum"),
        (
            "<source_library><source name='a' type='PointSource'><spectrum type='PowerLaw'>"
            "<parameter name='Index' value='x' scale='1'/></spectrum><spatialModel type='SkyDirFunction'>"
            "<parameter name='RA' value='1' scale='1'/><parameter name='DEC' value='1' scale='1'/>"
            "</spatialModel></source></source_library>",
            "no source library",
        ),
        (
            "<source_library><source name='a' type='PointSource'><spectrum type='PowerLaw'/>"
            "<spatialModel type='SkyDirFunction'>"
            "<parameter name='RA' value='1' scale='1'/><parameter name='DEC' value='1' scale='1'/>"
            "</spatialModel></source></source_library>",
            "has no parameter 'Prefactor'",
        ),
    ],
)
def test_other_xml(tmp_path, text, message):
    path = tmp_path / "other.xml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_fermipy(path)


def test_other_files(candidates, tmp_path):
    with pytest.raises(FileNotFoundError, match="results.npy"):
        read_fermipy(tmp_path / "results.npy")
    with pytest.raises(ValueError, match="give a file .npy"):
        read_fermipy(tmp_path / "results.txt")
    candidates.write(tmp_path / "candidates.fits")
    (tmp_path / "no.fits").write_text("hello")
    for name in ("candidates.fits", "no.fits"):
        with pytest.raises(ValueError, match="gta.write_roi"):
            read_fermipy(tmp_path / name)


def test_disk_of_an_xml_has_the_same_radius_of_68_percent(candidates, roi_model, tmp_path):
    path = tmp_path / "sources.xml"
    text = source_xml(candidates).replace("RadialGaussian", "RadialDisk").replace('"Sigma"', '"Radius"')
    iso = "<source name='isodiff' type='DiffuseSource'><spectrum type='FileFunction' file='i.txt'/>"
    iso += "<spatialModel type='ConstantValue'/></source></source_library>"
    path.write_text(text.replace("</source_library>", iso))
    back = read_fermipy(path)
    assert len(back) == 4
    roi = roi_model.ROIModel({"catalogs": [str(path)]}, skydir=candidates.positions[0])
    name = str(candidates.table["name"][2])
    assert roi[name]["SpatialWidth"] == pytest.approx(0.8246211 * 0.35)
    (row,) = [row for row in back.table if row["name"] == name]
    assert row["fit_sigma"].to_value("deg") * 1.5095922 == pytest.approx(0.8246211 * 0.35)


@pytest.fixture
def fermipy_data():
    """Files of an analysis of fermipy: 2 deg around the Crab nebula above 0.4 TeV."""
    folder = Path(os.environ.get("GAMMAPY_DATA", "")) / "tests" / "fermi"
    if "GAMMAPY_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("GAMMAPY_DATA is not set")
    return folder


def test_gammapy_reads_data_by_the_configuration(candidates, fermipy_data, tmp_path):
    isotropic = fermipy_data / "iso_P8R3_SOURCEVETO_V3_PSF0_v1.txt"
    config, _, _ = write_fermipy(
        candidates, tmp_path / "out", **FILES, config={"model": {"isodiff": str(isotropic)}}
    )
    for name in ("ccube", "bexpmap", "psf", "drm", "ft1"):
        shutil.copy(fermipy_data / f"{name}_00.fits", config.parent)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (dataset,) = FermipyDatasetsReader(config).read()
    assert dataset.counts.data.sum() > 0
    assert dataset.models.names == ["isotropic_P8R3_SOURCEVETO_V3_PSF0_v1"]


def test_data_of_fermipy(fermipy_data):
    """Datasets that Gammapy reads from an analysis of fermipy enter the package as they are."""
    folder = fermipy_data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        datasets = FermipyDatasetsReader(folder / "config_fermipy_std_5deg_qr.yaml", edisp_bins=1).read()
    with pytest.raises(ValueError, match="too small: 10 x 10 pixels"):
        to_band_cube(datasets)
    # These files are of 2 deg; a usual region is wider
    models = list(datasets.models)
    wide = Datasets([dataset.pad((8, 8), name=dataset.name) for dataset in datasets])
    wide.models = models
    cube = to_band_cube(wide)
    expected = 0
    for dataset in datasets:
        edges = dataset.counts.geom.axes["energy"].edges.to_value("GeV")
        below = np.sqrt(edges[:-1] * edges[1:]) < 1000
        expected += dataset.counts.data[below].sum()
    assert expected > 0
    assert sum(float(counts.sum()) for counts in cube.counts) == expected
    assert cube.background is not None
    assert cube.meta["datasets"] == ["P8R3_SOURCEVETO_V3_PSF0_v1", "P8R3_SOURCEVETO_V3_PSF1_v1"]


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_commands(candidates, tmp_path):
    candidates.write(tmp_path / "candidates.fits")
    files = ("--evfile", "ft1.fits", "--scfile", "ft2.fits")
    result = run("fermipy", "write", tmp_path / "candidates.fits", "-o", tmp_path / "out", *files)
    assert result.exit_code == 0, result.output
    config = yaml.safe_load((tmp_path / "out/config.yaml").read_text())
    assert [source["name"] for source in config["model"]["sources"]] == list(candidates.table["name"])
    assert config["data"] == {"evfile": "ft1.fits", "scfile": "ft2.fits"}
    assert (tmp_path / "out/analysis.py").exists()
    again = run("fermipy", "write", tmp_path / "candidates.fits", "-o", tmp_path / "out", *files)
    assert again.exit_code == 2
    assert "--overwrite" in again.output

    args = ("fermipy", "read", tmp_path / "out/sources.xml", "-o", tmp_path / "fitted.fits")
    result = run(*args, "--candidates", tmp_path / "candidates.fits")
    assert result.exit_code == 0, result.output
    assert candidates.table["name"][0] in result.output
    fitted = Candidates.read(tmp_path / "fitted.fits").table
    np.testing.assert_array_equal(fitted["score"], candidates.table["score"])
    np.testing.assert_allclose(fitted["fit_index"][:3], candidates.table["fit_index"][:3])
    assert run(*args).exit_code == 2
    result = run(*args, "--overwrite")
    assert result.exit_code == 0, result.output
    assert np.isnan(Candidates.read(tmp_path / "fitted.fits").table["score"]).all()


def test_errors_of_commands_are_one_line(candidates, tmp_path):
    candidates.write(tmp_path / "candidates.fits")
    result = run("fermipy", "write", tmp_path / "candidates.fits", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert result.output.startswith("Error: fermipy needs the events (FT1)")
    assert result.output.count("\n") == 1
    result = run("fermipy", "read", tmp_path / "candidates.fits", "-o", tmp_path / "fitted.fits")
    assert result.exit_code == 2
    assert "was not written by gta.write_roi" in result.output
    assert not (tmp_path / "fitted.fits").exists()
