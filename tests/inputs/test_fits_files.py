# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of files that are cut off."""

import gzip
import shutil

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from gammapy.datasets import Datasets

from gammapy_asid import Candidates
from gammapy_asid.catalog.catalog_table import write_catalog
from gammapy_asid.catalog.source_catalog import SourceCatalogASID
from gammapy_asid.inputs.dataset_files import read_dataset, read_datasets_yaml, write_dataset
from gammapy_asid.inputs.read_maps import read_sky_map
from gammapy_asid.utils.fits_files import open_fits, write_fits


@pytest.fixture(scope="module")
def dataset(lat_field):
    dataset = lat_field()
    dataset.mask_safe = dataset.counts > -1
    return dataset


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def hdus_cut(path, name):
    """Without an HDU of a name."""
    with fits.open(path) as hdulist:
        rest = fits.HDUList([hdu.copy() for hdu in hdulist if hdu.name != name])
    path.unlink()
    rest.writeto(path)


@pytest.mark.parametrize("n", [0, 1, 6, 9])
def test_long_lists_of_hdus(tmp_path, n):
    path = tmp_path / "list.fits"
    names = [f"BACKGROUND{i}" for i in range(n)]
    # Nothing is cut, which would warn
    write_fits([fits.PrimaryHDU(), *(fits.ImageHDU(name=name) for name in names)], path)
    with open_fits(path) as hdulist:
        assert [hdu.name for hdu in hdulist[1:]] == names
        assert hdulist[0].header["HDULIST"] == ",".join(names)


@pytest.mark.parametrize("suffix", ["fits", "fits.gz"])
@pytest.mark.parametrize("share", [0.999, 0.9, 0.5, 0.1])
def test_datasets_cut_off(dataset, tmp_path, suffix, share):
    path = tmp_path / f"field.{suffix}"
    write_dataset(dataset, path)
    read = read_dataset(path, "lat")
    np.testing.assert_array_equal(read.counts.data, dataset.counts.data)
    assert read.mask_safe.data.all()
    cut(path, share)
    with pytest.raises(ValueError, match="is cut off"):
        read_dataset(path)


@pytest.mark.parametrize("suffix", ["fits", "fits.gz"])
@pytest.mark.parametrize("share", [0.99, 0.5, 0.1])
def test_files_of_gammapy_cut_off(dataset, tmp_path, suffix, share):
    path = tmp_path / f"field.{suffix}"
    dataset.write(path)
    assert read_dataset(path).counts.data.sum() == dataset.counts.data.sum()
    cut(path, share)
    with pytest.raises(ValueError, match="is cut off|no whole Gammapy dataset|has no exposure"):
        read_dataset(path)


@pytest.mark.parametrize(
    "name", ["COUNTS", "EXPOSURE", "PSF", "MASK_SAFE", "MASK_SAFE_BANDS", "PSF_EXPOSURE"]
)
def test_lost_maps(dataset, tmp_path, name):
    write_dataset(dataset, tmp_path / "field.fits")
    hdus_cut(tmp_path / "field.fits", name)
    with pytest.raises(ValueError, match=f"field.fits is cut off, it lacks .*{name}"):
        read_dataset(tmp_path / "field.fits")


@pytest.mark.parametrize("name", ["PSF", "MASK_SAFE", "BACKGROUND"])
def test_lost_maps_of_other_writers(dataset, tmp_path, name):
    """The table of their axes is still there."""
    dataset.write(tmp_path / "field.fits")
    hdus_cut(tmp_path / "field.fits", name)
    with pytest.raises(ValueError, match=f"it lacks {name}"):
        read_dataset(tmp_path / "field.fits")


def test_inside_a_header(dataset, tmp_path):
    dataset.write(tmp_path / "field.fits")
    content = (tmp_path / "field.fits").read_bytes()
    (tmp_path / "field.fits").write_bytes(content[: content.rfind(b"XTENSION") + 1000])
    with pytest.raises(ValueError, match="is cut off"):
        read_dataset(tmp_path / "field.fits")


def test_several_datasets(dataset, tmp_path):
    Datasets([dataset]).write(tmp_path / "datasets.yaml")
    assert read_datasets_yaml(tmp_path / "datasets.yaml").names == ["lat"]
    cut(tmp_path / "lat.fits", 0.9)
    with pytest.raises(ValueError, match="lat.fits is cut off"):
        read_datasets_yaml(tmp_path / "datasets.yaml")
    (tmp_path / "lat.fits").unlink()
    with pytest.raises(FileNotFoundError, match="lat.fits"):
        read_datasets_yaml(tmp_path / "datasets.yaml")


def test_other_files(dataset, tmp_path):
    dataset.counts.write(tmp_path / "map.fits")
    with pytest.raises(ValueError, match="map.fits holds no Gammapy dataset .no HDU COUNTS"):
        read_dataset(tmp_path / "map.fits")
    (tmp_path / "text.fits").write_text("text")
    with pytest.raises(ValueError, match="text.fits is no FITS file"):
        read_dataset(tmp_path / "text.fits")
    with pytest.raises(FileNotFoundError, match="nothing.fits"):
        read_dataset(tmp_path / "nothing.fits")
    cut(tmp_path / "map.fits", 0.9)
    with pytest.raises(ValueError, match="map.fits is cut off"):
        read_sky_map(tmp_path / "map.fits")


@pytest.fixture(scope="module")
def candidates():
    n = 40
    rng = np.random.default_rng(0)
    radius = np.full((n, 2), 0.1) * u.deg
    position = SkyCoord(rng.uniform(0, 360, n), rng.uniform(-80, 80, n), unit="deg")
    return Candidates.from_positions(position, rng.random(n), radius, radius, np.zeros(n) * u.deg)


@pytest.mark.parametrize("suffix", ["fits", "fits.gz"])
@pytest.mark.parametrize("share", [0.999, 0.7, 0.2])
def test_candidates_and_catalogues_cut_off(candidates, tmp_path, suffix, share):
    path = tmp_path / f"list.{suffix}"
    candidates.write(path)
    assert len(Candidates.read(path)) == 40
    cut(path, share)
    with pytest.raises(ValueError, match="is cut off"):
        Candidates.read(path)
    path = tmp_path / f"catalogue.{suffix}"
    write_catalog(candidates, path)
    assert len(SourceCatalogASID(path).table) == 40
    cut(path, share)
    with pytest.raises(ValueError, match="is cut off"):
        SourceCatalogASID(path)


def test_candidates_without_provenance(candidates, tmp_path):
    candidates.write(tmp_path / "list.fits")
    hdus_cut(tmp_path / "list.fits", "PROVENANCE")
    with pytest.raises(ValueError, match="it lacks PROVENANCE"):
        Candidates.read(tmp_path / "list.fits")
    # Compressed later
    candidates.write(tmp_path / "other.fits")
    with open(tmp_path / "other.fits", "rb") as file, gzip.open(tmp_path / "other.gz", "wb") as packed:
        shutil.copyfileobj(file, packed)
    assert len(Candidates.read(tmp_path / "other.gz")) == 40
