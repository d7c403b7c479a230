# Licensed under a 3-clause BSD style license - see LICENSE
"""Natural mistakes at the command line: one line, exit code 2, and nothing is written."""

import shlex

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner

from gammapy_asid.cli import main

#: Command lines, and what must be said of each.
MISTAKES = {
    # What is no dataset
    "detect": "Missing argument 'FILES...'",
    "detct field.fits": "No such command 'detct'",
    "--nothing": "No such option",
    "detect missing.fits": "'missing.fits' does not exist",
    "detect folder": "is a directory",
    "detect text.fits": "text.fits is no FITS file, it begins with 'a text'",
    "detect empty.fits": "empty.fits is no FITS file, it is empty",
    "detect photo.jpg": "photo.jpg is no FITS file",
    "detect table.fits": "table.fits holds no Gammapy dataset",
    "detect counts.fits": "run 'gammapy-asid catalog --counts counts.fits --exposure FILE --psf FILE'",
    "detect camera.fits": "'gammapy-asid optical' is for those of cameras",
    "detect other.yaml": "other.yaml holds no Gammapy datasets",
    "detect broken.yaml": "broken.yaml is not a valid YAML file: line 2",
    "detect field.fits ./field.fits": "field.fits is given twice",
    # What is written
    "detect field.fits -o new/out.txt": "new/out.txt: the name must end in .fits",
    "detect field.fits -o ''": "The name of a file is empty",
    "detect field.fits -o new/c.fits --plot new/p.doc": "new/p.doc: the name must end in .png",
    "detect field.fits -o new/c.fits --regions new/r.fits": "new/r.fits: the name must end in .reg",
    "detect field.fits -o new/c.fits --output-models new/m.xml": "new/m.xml: the name must end in .yaml",
    "detect field.fits -o list.csv": "list.csv exists: choose another name or add --overwrite",
    "detect field.fits -o field.fits --overwrite": "field.fits is read: choose another name",
    "detect field.fits -o list.csv/out": "Nothing can be written to list.csv/out",
    "demo -o list.csv": "Nothing can be written to list.csv",
    "flux field.fits --sources list.csv -o new/f.png": "the name must end in .fits",
    "fit field.fits --candidates list.csv --plot new/a -o new/f.fits": "new/a: the name must end in .png",
    "emission text.safetensors -o new/x.fits": "new/x.fits: the name must end in .safetensors",
    # Models
    "detect field.fits -o new/c.fits --model lta": "Unknown model 'lta': known are cta-gps, lat;",
    "detect field.fits -o new/c.fits --model lat-classes": "'lat-classes' is for classification, not for",
    "flux field.fits --sources list.csv -o new/f.fits --model optical": "for optical, not for detection",
    "extension field.fits --sources list.csv --model lat -o new/e.fits": "choose cta-extension",
    "classify field.fits --sources list.csv --model lat -o new/c.fits": "choose lat-classes",
    "optical camera.fits --model lat -o new": "choose optical",
    "demo --model missing.safetensors -o new": "No weight file missing.safetensors",
    "train --task generative --dataset field.fits": "A model for generative is not trained for a dataset",
    "train --task counts --dataset field.fits": "A model for counts is not trained for a dataset",
    "emission text.safetensors -o new/x.safetensors": "No model card text.json",
    # Numbers and choices
    "detect field.fits -o new/c.fits --threshold 2": "--threshold': 2 is no possible value",
    "detect field.fits -o new/c.fits --threshold nan": "nan is no possible value",
    "detect field.fits -o new/c.fits --threshold high": "'high' is no number",
    "detect field.fits -o new/c.fits --device gpu": "There is no device 'gpu' here",
    "detect field.fits -o new/c.fits --prior equal": "--prior is for the classes: add --classify",
    "detect field.fits -o new/c.fits --classify --prior what": "'what' is no share: give equal",
    "flux field.fits --sources list.csv -o new/f.fits --e-min -1": "give a number above 0",
    "flux field.fits --sources list.csv -o new/f.fits --e-min 9 --e-max 1": "e_min must be below e_max",
    "fit field.fits --candidates list.csv --width -1 -o new/f.fits": "give a number above 0 up to 30",
    "fit field.fits --candidates list.csv --ts nan -o new/f.fits": "give a number from 0",
    "fit field.fits --candidates list.csv -j 0 -o new/f.fits": "0 is not in the range",
    "catalog field.fits --fit-above 2 -o new/c.fits --folder work": "give a number from 0 up to 1",
    "catalog field.fits --emission-error 1 -o new/c.fits": "give a number above 0 below 1",
    "catalog --counts counts.fits --energy-range 2000 50 -o new/c.fits": "give the smaller number first",
    "catalog field.fits --energy-range 50 2000 -o new/c.fits": "--energy-range is for maps",
    "catalog --counts counts.fits -o new/c.fits": "also --exposure, --psf",
    "catalog --counts text.fits -o new/c.fits": "text.fits is no FITS file",
    "catalog field.fits --associate known.fits -o new/c.fits": "give NAME=FILE",
    "catalog field.fits --associate A=missing.fits -o new/c.fits": "No such file: missing.fits",
    "simulate --width -1 5 -o new": "give a number above 0 up to 180",
    "simulate --livetime -1 -o new": "give a number above 0",
    "simulate --pixel-size 0 -o new": "give a number above 0",
    "simulate --pixel-size 1e-6 -o new": "choose another width or pixel size",
    "simulate --center 10 100 -o new": "the latitude 100 is not from -90 to 90 deg",
    "simulate --time-bins 1 -o new": "1 is not in the range",
    "simulate --seed -1 -o new": "-1 is not in the range",
    # Lists of sources
    "flux field.fits": "Missing option '--sources'",
    "flux field.fits --sources table.fits -o new/f.fits": "no columns ra and dec, or glon and glat",
    "flux field.fits --sources text.fits -o new/f.fits": "text.fits is no table that can be read",
    "evaluate list.csv": "give TRUTH and LISTS, or --model alone",
    "evaluate list.csv missing.fits -o new": "No such file: missing.fits",
    "evaluate list.csv list.csv --radius 0 -o new": "give a number above 0 below 90",
    "evaluate list.csv list.csv --latitude 90 0 -o new": "give the smaller number first",
    "evaluate list.csv list.csv --score nothing -o new": "None of the lists has a column 'nothing'",
    "evaluate list.csv list.csv folder/list.csv -o new": "'list' twice: name them apart as NAME=FILE",
    "evaluate --model nothing": "Unknown model 'nothing'",
    # Recipes and configurations
    "train": "give a recipe or --dataset FILE",
    "train nothing -o new": "No recipe 'nothing': give a YAML file or one of",
    "train recipe.yaml -o new": "no entry 'epoch', did you mean 'optimiser.epochs'?",
    "train numbers.yaml -o new": "optimiser.epochs must be a whole number, got 'many'",
    "train lat --minutes nan -o new": "nan is no such time",
    "train lat --task extension -o new": "No recipe 'lat': give a YAML file or one of cta-extension",
    "train --dataset counts.fits -o new": "counts.fits holds no Gammapy dataset",
    "train --image camera.fits -o new": "give --sources once for each --image",
    "detect --config other.yaml": "other.yaml has the unknown option 'a'",
    "detect --config missing.yaml": "No such configuration: missing.yaml",
    "detect field.fits --log-file field.fits": "the name must end in .log or .txt",
    # Others
    "fermipy write known.fits -o new": "fermipy needs the events",
    "fermipy read table.fits -o new/f.fits": "was not written by gta.write_roi",
    "split-time field.fits table.fits --bins 1": "1 is not in the range",
    "split-time field.fits -o new": "field.fits is one dataset: give its events",
    "optical camera.fits --gain 0 -o new": "give a number above 0",
    "optical camera.fits --hdu SCI -o new": "camera.fits has no extension 'SCI'",
    "optical camera.fits --mask text.fits -o new": "text.fits is no FITS file",
    "optical table.fits -o new": "table.fits has no image",
    "view missing": "There is no folder or file missing",
    "view folder": "folder has none of catalog.fits",
    "view known.fits -o new/v.txt": "the name must end in .html",
    "view table.fits -o new/v.html": "no columns ra and dec",
    "completion tcsh": "'tcsh' is not one of",
    "models lat": "unexpected extra argument",
}


@pytest.fixture(scope="module")
def folder(gev_sky, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    field = gev_sky.dataset(gev_sky.sources(1))
    field.write(folder / "field.fits")
    field.counts.write(folder / "counts.fits")
    Table({"a": [1.0]}).write(folder / "table.fits")
    (folder / "folder").mkdir()
    for name in ("list.csv", "folder/list.csv"):
        Table({"ra": [83.0], "dec": [22.0], "flux": [1e-9], "score": [0.5]}).write(folder / name)
    gev_sky.candidates(gev_sky.positions[:1], gev_sky.flux[:1]).write(folder / "known.fits")
    noise = np.random.default_rng(1).normal(0, 1, (20, 20))
    fits.PrimaryHDU(noise).writeto(folder / "camera.fits")
    texts = {
        "text.fits": "a text",
        "text.safetensors": "a text",
        "empty.fits": "",
        "photo.jpg": "\x00\x01",
        "other.yaml": "a: 1\n",
        "broken.yaml": "a: [1, 2\n",
        "recipe.yaml": "name: mine\nepoch: 3\n",
        "numbers.yaml": "name: mine\noptimiser: {epochs: many}\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("line", MISTAKES)
def test_mistakes_are_one_line(folder, line, monkeypatch):
    monkeypatch.chdir(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    result = CliRunner().invoke(main, shlex.split(line))
    assert result.output.startswith("Error: ") and result.output.count("\n") == 1, result.output
    assert MISTAKES[line] in result.output
    assert result.exit_code == 2
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_data_of_another_instrument_are_refused(gev_sky, tmp_path, monkeypatch):
    """Extension of a kind of data that the model has never seen: the file and the way out are named."""
    monkeypatch.chdir(tmp_path)
    field = gev_sky.dataset(gev_sky.sources(1))
    field.background *= 1e-3
    field.counts.data = np.random.default_rng(1).poisson(field.npred().data).astype(float)
    field.write("field.fits")
    gev_sky.candidates(gev_sky.positions[:1], gev_sky.flux[:1]).write("list.fits")
    arguments = shlex.split("extension field.fits --sources list.fits -o new/e.fits")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "field: energies and point spread function or background are far" in result.output
    assert "gammapy-asid train --task extension --dataset" in result.output
    assert not (tmp_path / "new").exists()
