# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of datasets from files of the Fermi tools."""

import os
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable, Table
from gammapy.irf import PSFMap
from gammapy.maps import HpxGeom, Map, MapAxis, WcsGeom
from gammapy.modeling.models import PowerLawSpectralModel, TemplateSpatialModel

from gammapy_asid.inputs.read_maps import dataset_from_files, diffuse_background, read_sky_map
from gammapy_asid.survey import TileCutter

AXIS = MapAxis.from_energy_bounds("10 GeV", "1000 GeV", nbin=4)
TRUE = MapAxis.from_energy_bounds("5 GeV", "2000 GeV", nbin=12, name="energy_true", node_type="center")
SOURCES = SkyCoord([0, 0, 179.5, 83.6], [0, 89.5, -30, 22], unit="deg", frame="icrs")


def write_psf(path):
    psf = PSFMap.from_gauss(
        TRUE, rad_axis=MapAxis.from_bounds(0, 5, 100, unit="deg", name="rad"), sigma=0.1 * u.deg
    )
    values = psf.psf_map.data.reshape(TRUE.nbin, 100, -1)[..., 0]
    theta = QTable({"Theta": psf.psf_map.geom.axes["rad"].center})
    table = QTable(
        {"Energy": TRUE.center.to("MeV"), "Exposure": np.ones(TRUE.nbin) * u.Unit("cm2 s"), "Psf": values}
    )
    hdus = [fits.PrimaryHDU(), fits.BinTableHDU(table, name="PSF"), fits.BinTableHDU(theta, name="THETA")]
    fits.HDUList(hdus).writeto(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Exposure, PSF, emission and isotropic spectrum of constant intensity."""
    path = tmp_path_factory.mktemp("lat")
    write_psf(path / "psf.fits")
    coarse = WcsGeom.create(binsz=4, proj="CAR", frame="galactic", axes=[TRUE])
    Map.from_geom(coarse, data=2e11, unit="cm2 s").write(path / "exposure.fits")
    true = MapAxis.from_nodes([1, 30, 3000], interp="log", unit="GeV", name="energy_true")
    cube = WcsGeom.create(binsz=3, proj="CAR", frame="galactic", axes=[true])
    # An intensity of 1e-8 E^-2 with E in GeV, the same everywhere
    energy = true.center.to_value("GeV")[:, None, None]
    intensity = np.broadcast_to(1e-8 * energy**-2, cube.data_shape)
    Map.from_geom(cube, data=intensity, unit="cm-2 s-1 GeV-1 sr-1").write(path / "emission.fits")
    mev = np.geomspace(1e2, 1e7, 30)
    np.savetxt(path / "iso.txt", np.column_stack([mev, 1e-5 * mev**-2.0, 1e-6 * mev**-2.0]))
    return path


def events(path, energy=30):
    """List with 5, 6, 7 and 8 events at the positions, and one below the energies."""
    place = np.repeat(np.arange(4), [5, 6, 7, 8])
    energy = np.r_[np.full(len(place), energy), 1.0]
    place = np.r_[place, 0]
    table = QTable(
        {
            "ENERGY": (energy * u.GeV).to("MeV").astype("f4"),
            "RA": SOURCES.ra[place].astype("f4"),
            "DEC": SOURCES.dec[place].astype("f4"),
            "TIME": np.arange(len(place)) * u.s,
            "EVENT_ID": np.arange(len(place)),
        }
    )
    gti = QTable({"START": [0] * u.s, "STOP": [100] * u.s})
    hdus = [fits.PrimaryHDU(), fits.BinTableHDU(table, name="EVENTS"), fits.BinTableHDU(gti, name="GTI")]
    for hdu in hdus[1:]:
        hdu.header.update({"MJDREFI": 51910, "MJDREFF": 7.4e-4, "TIMESYS": "TT", "TIMEUNIT": "s"})
    fits.HDUList(hdus).writeto(path)


def counts_map(geom):
    """Map with 5, 6, 7 and 8 counts at the positions in the second bin."""
    m = Map.from_geom(geom.to_cube([AXIS]))
    for source, number in zip(SOURCES, (5, 6, 7, 8), strict=True):
        m.fill_by_coord({"skycoord": source, "energy": 50 * u.GeV}, weights=np.array([float(number)]))
    return m


def at_sources(m):
    image = m.sum_over_axes(keepdims=False)
    return image.get_by_coord({"skycoord": SOURCES}).tolist()


GEOMS = {
    "hpx": HpxGeom.create(nside=16, frame="galactic"),
    "hpx-nest": HpxGeom.create(nside=16, frame="icrs", nest=True),
    "car": WcsGeom.create(binsz=3, proj="CAR", frame="galactic"),
    "ait": WcsGeom.create(binsz=3, proj="AIT", frame="icrs"),
}


@pytest.mark.parametrize("kind", GEOMS)
def test_maps_of_the_whole_sky(folder, tmp_path, kind):
    format = "gadf" if kind == "hpx-nest" else "fgst-ccube"
    counts_map(GEOMS[kind]).write(tmp_path / "counts.fits", format=format)
    dataset = dataset_from_files(
        tmp_path / "counts.fits",
        folder / "exposure.fits",
        folder / "psf.fits",
        folder / "emission.fits",
        folder / "iso.txt",
    )
    assert at_sources(dataset.counts) == [5, 6, 7, 8]
    np.testing.assert_allclose(dataset.counts.geom.axes["energy"].edges, AXIS.edges, rtol=1e-5)
    assert np.nansum(dataset.counts.data) == 26
    assert dataset.exposure.unit == "cm2 s"
    assert dataset.edisp is not None and dataset.gti is None
    # 1e-8 (1 / E_min - 1 / E_max) and 1e-8 of the isotropic spectrum, over the sphere
    edges = AXIS.edges.to_value("GeV")
    truth = 2e-8 * 2e11 * 4 * np.pi * -np.diff(1 / edges)
    image = dataset.counts.geom.to_image()
    covered = 1.0
    if kind == "ait":
        covered = np.nansum(image.solid_angle().to_value("sr")[np.isfinite(image.get_coord()[0])]) / 4 / np.pi
        assert covered == pytest.approx(1, abs=0.05)
    total = dataset.background.data.reshape(4, -1).sum(axis=1)
    np.testing.assert_allclose(total, truth * covered, rtol=0.01)
    assert np.isfinite(dataset.background.data).all()
    # A survey takes it as it is
    assert TileCutter(dataset).vectors.shape[-1] == 3


def test_events(folder, tmp_path):
    events(tmp_path / "events.fits")
    files = (tmp_path / "events.fits", folder / "exposure.fits", folder / "psf.fits")
    dataset = dataset_from_files(*files, energy_range=[10, 1000] * u.GeV, pixel_size=1.0)
    assert dataset.counts.geom.axes["energy"].nbin == 8
    assert dataset.counts.geom.data_shape == (8, 180, 360)
    assert at_sources(dataset.counts) == [5, 6, 7, 8]
    assert dataset.counts.data.sum() == 26
    assert dataset.background is None
    assert dataset.gti.time_sum.to_value("s") == pytest.approx(100)
    assert dataset.gti.time_start[0].mjd == pytest.approx(51910 + 7.4e-4)
    with pytest.raises(ValueError, match="holds events: give the range of energies"):
        dataset_from_files(*files)


def test_bad_good_times_are_left_out(folder, tmp_path, caplog):
    events(tmp_path / "events.fits")
    with fits.open(tmp_path / "events.fits", mode="update") as hdus:
        del hdus["GTI"].header["MJDREFI"]
    files = (tmp_path / "events.fits", folder / "exposure.fits", folder / "psf.fits")
    dataset = dataset_from_files(*files, energy_range=[10, 1000] * u.GeV, pixel_size=2.0)
    assert dataset.gti is None and "good time intervals that can't be read" in caplog.text


def test_background_of_an_isotropic_spectrum():
    """Against the integral of Gammapy's spectrum."""
    spectrum = PowerLawSpectralModel(index=2.5, amplitude="1e-8 cm-2 s-1 GeV-1", reference="1 GeV")
    geom = WcsGeom.create(skydir=(20, 60), width=4, binsz=0.5, frame="galactic", proj="TAN", axes=[AXIS])
    exposure = Map.from_geom(geom.to_image().to_cube([TRUE]), data=3e7, unit="m2 s")
    zero = MapAxis.from_nodes([1, 3000], interp="log", unit="GeV", name="energy_true")
    zero = Map.create(binsz=10, proj="CAR", frame="galactic", axes=[zero], unit="cm-2 s-1 MeV-1 sr-1")
    emission = TemplateSpatialModel(zero, normalize=False)
    background = diffuse_background(geom, exposure, emission, spectrum)
    flux = spectrum.integral(AXIS.edges[:-1], AXIS.edges[1:]).to_value("cm-2 s-1")
    truth = flux[:, None, None] * 3e11 * geom.to_image().solid_angle().to_value("sr")
    np.testing.assert_allclose(background.data, truth, rtol=1e-3)


@pytest.mark.parametrize(
    ("stated", "frame"), [("GAL", None), ("C", None), (None, "icrs"), (None, "galactic")]
)
def test_frames_of_healpix(tmp_path, stated, frame):
    counts_map(GEOMS["hpx"]).write(tmp_path / "m.fits", format="fgst-ccube")
    with fits.open(tmp_path / "m.fits", mode="update") as hdulist:
        del hdulist["SKYMAP"].header["COORDSYS"]
        if stated:
            hdulist["SKYMAP"].header["COORDSYS"] = stated
    read = read_sky_map(tmp_path / "m.fits", frame).geom.frame
    assert read == (frame or {"GAL": "galactic", "C": "icrs"}[stated])


@pytest.mark.parametrize(
    ("stated", "message"), [(None, "has no frame"), ("E", "has the frame E, which is not known")]
)
def test_unknown_frame_of_healpix(tmp_path, stated, message):
    counts_map(GEOMS["hpx"]).write(tmp_path / "m.fits", format="fgst-ccube")
    with fits.open(tmp_path / "m.fits", mode="update") as hdulist:
        del hdulist["SKYMAP"].header["COORDSYS"]
        if stated:
            hdulist["SKYMAP"].header["COORDSYS"] = stated
    with pytest.raises(ValueError, match=f"{message}.*give its frame, galactic or icrs"):
        read_sky_map(tmp_path / "m.fits")


def test_unknown_frame_of_an_image(tmp_path):
    counts_map(GEOMS["car"]).write(tmp_path / "m.fits", format="fgst-ccube")
    with fits.open(tmp_path / "m.fits", mode="update") as hdulist:
        hdulist[0].header.update({"CTYPE1": "ELON-CAR", "CTYPE2": "ELAT-CAR"})
    with pytest.raises(ValueError, match="has the frame ELON-CAR, which is not known"):
        read_sky_map(tmp_path / "m.fits")


def test_bad_files(folder, tmp_path):
    (tmp_path / "text.fits").write_text("text")
    Table({"a": [1]}).write(tmp_path / "table.fits")
    good = [tmp_path / "counts.fits", folder / "exposure.fits", folder / "psf.fits", folder / "emission.fits"]
    counts_map(GEOMS["car"]).write(good[0], format="fgst-ccube")
    counts_map(GEOMS["car"]).sum_over_axes(keepdims=False).write(tmp_path / "image.fits")
    for place in range(4):

        def files(path, place=place):
            return [path if i == place else file for i, file in enumerate(good)]

        with pytest.raises(FileNotFoundError, match="nothing.fits"):
            dataset_from_files(*files(tmp_path / "nothing.fits"))
        with pytest.raises(ValueError, match="text.fits is no FITS file"):
            dataset_from_files(*files(tmp_path / "text.fits"))
        with pytest.raises(ValueError, match="table.fits holds no"):
            dataset_from_files(*files(tmp_path / "table.fits"))
    with pytest.raises(ValueError, match="image.fits has no axis of energies"):
        dataset_from_files(tmp_path / "image.fits", *good[1:])
    with pytest.raises(ValueError, match="no axis of true energies: give the output of gtexpcube2"):
        dataset_from_files(good[0], good[0], good[2])
    with pytest.raises(FileNotFoundError, match="iso.txt"):
        dataset_from_files(*good, tmp_path / "iso.txt")


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        (
            {"energy_range": [50, 100] * u.GeV},
            ValueError,
            "counts.fits holds a map: energy_range is",
        ),
        (
            {"energy_range": [100, 50] * u.GeV},
            ValueError,
            "energy_range must be two energies above 0 that rise",
        ),
        ({"energy_range": 10 * u.GeV}, ValueError, "energy_range must be two energies"),
        ({"pixel_size": 0}, ValueError, "pixel_size must be a number above 0"),
        ({"pixel_size": "1"}, TypeError, "pixel_size must be a number"),
        ({"isotropic": "iso.txt"}, ValueError, "isotropic spectrum belongs to an interstellar emission"),
        ({"exposure": "area.fits"}, ValueError, "area.fits must be in cm2 s, got cm2"),
        ({"isotropic": "words.txt", "emission": "emission.fits"}, ValueError, "words.txt holds no isotropic"),
    ],
)
def test_arguments_that_are_refused(folder, tmp_path, changed, error, message):
    counts_map(GEOMS["car"]).write(folder / "counts.fits", format="fgst-ccube", overwrite=True)
    exposure = Map.read(folder / "exposure.fits")
    Map.from_geom(exposure.geom, data=exposure.data, unit="cm2").write(folder / "area.fits", overwrite=True)
    (folder / "words.txt").write_text("no numbers\n")
    given = {name: folder / f"{name}.fits" for name in ("counts", "exposure", "psf")}
    files = {
        name: folder / value for name, value in changed.items() if str(value).endswith((".fits", ".txt"))
    }
    with pytest.raises(error, match=message):
        dataset_from_files(**given | changed | files)


def test_energies_without_an_exposure_are_masked(folder, tmp_path, caplog):
    counts_map(GEOMS["car"]).write(tmp_path / "counts.fits", format="fgst-ccube")
    image = Map.read(folder / "exposure.fits").geom.to_image()
    middle = np.sqrt(AXIS.edges[:-1] * AXIS.edges[1:])
    # The middle of the first bin is a node, beyond the third there is none
    for nodes, good in ((middle[[0, 1, 2]], [1, 1, 1, 0]), (middle, [1, 1, 1, 1])):
        axis = MapAxis.from_nodes(nodes.to("MeV"), interp="log", name="energy_true")
        exposure = Map.from_geom(image.to_cube([axis]), data=2e11, unit="cm2 s")
        exposure.write(tmp_path / "exposure.fits", overwrite=True)
        files = (tmp_path / "counts.fits", tmp_path / "exposure.fits", folder / "psf.fits")
        dataset = dataset_from_files(*files, folder / "emission.fits")
        if all(good):
            assert dataset.mask_safe is None
        else:
            assert dataset.mask_safe.data.all(axis=(1, 2)).tolist() == good
            assert "1 of 4 energy bins are left out, since the exposure is known for" in caplog.text
        assert (dataset.background.data.max(axis=(1, 2)) > 0).tolist() == good
    far = MapAxis.from_nodes([1, 2], interp="log", unit="TeV", name="energy_true")
    Map.from_geom(image.to_cube([far]), data=2e11, unit="cm2 s").write(
        tmp_path / "exposure.fits", overwrite=True
    )
    with pytest.raises(ValueError, match="reaches none of the energies of the counts"):
        dataset_from_files(*files)


@pytest.mark.skipif("GAMMAPY_ASID_DATA" not in os.environ, reason="real data are not here")
def test_3fhl_counts_of_the_whole_sky():
    folder = Path(os.environ["GAMMAPY_ASID_DATA"]) / "lat/allsky"
    (path,) = folder.glob("fermi_3fhl_counts_cube_hpx*")
    m = read_sky_map(path)
    assert m.geom.frame == "icrs"
    assert m.geom.nside[0] == 64
    assert m.data.sum() == 696519
    # The Galactic centre and not the vernal equinox is bright
    image = m.sum_over_axes(keepdims=False)
    bright = SkyCoord([0, 263.55], [0, -2.79], unit="deg", frame="galactic")
    assert np.all(image.get_by_coord({"skycoord": bright}) > 500)
