# Licensed under a 3-clause BSD style license - see LICENSE
"""Command optical, with a stand-in for the detection network."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS
from click.testing import CliRunner
from matplotlib.image import imread
from photutils.psf import CircularGaussianPRF
from regions import Regions
from scipy.ndimage import gaussian_filter, maximum_filter

from gammapy_asid import OpticalSources
from gammapy_asid.cli import main
from gammapy_asid.optical import detector
from gammapy_asid.optical.detection.model import Detections

FILES = ["masks.fits", "sources.fits", "sources.png", "sources.reg"]


class Peaks:
    device = torch.device("cpu")
    card = SimpleNamespace(
        name="peaks", task="optical", sha256="0", fwhm=(1.0, 6.0), hidden_weights=(0.0,) * 15
    )

    def detect(self, prepared):
        cut = prepared.cut(*(slice(0, n) for n in prepared.shape))
        smooth = gaussian_filter(cut.signal, 1.1)
        y, x = np.nonzero((smooth == maximum_filter(smooth, 5)) & (smooth > 2) & cut.valid)
        bits = np.zeros(prepared.image.shape, np.uint8)
        bits[5, 7:9] = 1
        score = smooth[y, x] / (1 + smooth[y, x])
        return Detections(x=x * 1.0, y=y * 1.0, score=score, x_err=0.1 + 0 * x, y_err=0.1 + 0 * x, bits=bits)


def run(*args):
    return CliRunner().invoke(main, ["optical", *(str(arg) for arg in args)])


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    monkeypatch.setattr(detector.OpticalDetectionModel, "load", lambda model, device: Peaks())


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An image with nine stars in its second extension, and its point spread function."""
    folder = tmp_path_factory.mktemp("optical")
    rng, psf = np.random.default_rng(2), CircularGaussianPRF(fwhm=2.6)
    rows, columns = np.mgrid[:100, :120]
    stars = [(x, y) for x in (20, 60.3, 100.4) for y in (20.2, 50, 80.4)]
    data = sum(psf.evaluate(columns, rows, 2000, x, y, 2.6) for x, y in stars) + rng.normal(50, 3, (100, 120))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ("RA---TAN", "DEC--TAN"), (10, 20), (50, 50)
    wcs.wcs.cdelt = -1e-4, 1e-4
    header = wcs.to_header()
    header["BUNIT"] = "adu"
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(data.astype("f4"), header, name="SCI")]
    fits.HDUList(hdus).writeto(folder / "image.fits")
    star = psf.evaluate(*np.mgrid[-12:13, -12:13], 1, 0, 0, 2.6)
    fits.PrimaryHDU(star).writeto(folder / "psf.fits")
    return folder


def test_a_folder_of_results(files, tmp_path):
    arguments = [files / "image.fits", "--psf", files / "psf.fits", "--no-classes", "--no-fluxes"]
    result = run(*arguments, "--hdu", "SCI", "--threshold", 0.7, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    sources = OpticalSources.read(tmp_path / "out" / "sources.fits")
    assert len(sources) == 9 and sources.wcs is not None
    assert "9 sources with a score of 0.7" in result.output and "2 pixels of cosmic rays" in result.output
    assert len(Regions.read(tmp_path / "out" / "sources.reg", format="ds9")) == 9
    with fits.open(tmp_path / "out" / "masks.fits") as hdus:
        assert hdus["MASKS"].data.sum() == 2 and hdus["MASKS"].header["BIT0"] == "cosmic_ray"
    assert imread(tmp_path / "out" / "sources.png").shape[1] > 500
    again = run(*arguments, "-o", tmp_path / "out")
    assert again.exit_code == 2 and "exists" in again.output
    assert run(*arguments, "-o", tmp_path / "out", "--overwrite", "--rounds", 1).exit_code == 0
    assert OpticalSources.read(tmp_path / "out" / "sources.fits").meta["rounds"] == 1


@pytest.mark.parametrize(
    "what", ["cube", "table", "constant", "empty", "tiny", "text", "extension", "threshold", "rounds"]
)
def test_bad_input_is_one_line_and_nothing_is_written(tmp_path, what):
    path, options = tmp_path / "image.fits", []
    noise = np.random.default_rng(1).normal(0, 1, (50, 50))
    data = {
        "cube": np.stack([noise] * 3),
        "constant": np.ones((50, 50)),
        "empty": np.full((50, 50), np.nan),
        "tiny": noise[:2, :2],
    }.get(what, noise)
    if what == "table":
        QTable({"a": [1.0, 2.0]}).write(path)
    elif what == "text":
        path.write_text("no image")
    else:
        fits.PrimaryHDU(data).writeto(path)
    options = {
        "extension": ["--hdu", "SCI"],
        "threshold": ["--threshold", 2],
        "rounds": ["--rounds", -1],
    }.get(what, [])
    result = run(path, "-o", tmp_path / "out", "--no-classes", "--no-fluxes", *options)
    assert result.exit_code == 2, result.output
    assert result.output.strip().count("\n") == 0 and result.output.startswith("Error: ")
    assert [file.name for file in tmp_path.iterdir()] == ["image.fits"]
