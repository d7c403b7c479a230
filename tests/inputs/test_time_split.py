# Licensed under a 3-clause BSD style license - see LICENSE
import logging
import os
import re
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from gammapy.data import GTI, EventList
from gammapy.datasets import MapDataset
from gammapy.maps import HpxGeom, Map, WcsGeom
from gammapy.modeling.models import (
    FoVBackgroundModel,
    Models,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
    TemplateNPredModel,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from gammapy_asid.inputs import find_time_bins, split_in_time, stack_in_time
from gammapy_asid.inputs.datasets import with_models
from gammapy_asid.inputs.good_times import GoodTimes, bin_edges
from gammapy_asid.inputs.time_shares import exposure_shares

FIRST = Time(54682.0, format="mjd", scale="tt")
YEAR = 365.25 * 86400


def gti(start, stop):
    """Good times between moments in years."""
    return GTI.create(np.atleast_1d(start) * u.yr, np.atleast_1d(stop) * u.yr, FIRST)


#: Four years of which the third quarter of each is lost.
GOOD = gti([0, 0.75, 1.75, 2.75, 3.75], [0.5, 1.5, 2.5, 3.5, 4])


@pytest.fixture(scope="module")
def whole(lat_field):
    dataset = lat_field(WcsGeom.create(npix=(40, 40), binsz=0.1, skydir=(83, 22)))
    return with_models(dataset, None, "lat", gti=GOOD)


def events_of(counts, years, seed=0):
    """Events in the middle of the pixels of counts, at times in years that are drawn from a list."""
    rng = np.random.default_rng(seed)
    number = counts.data.astype(int).ravel()
    coords = counts.geom.get_coord(sparse=False)
    sky = SkyCoord(coords["lon"].ravel(), coords["lat"].ravel(), frame=counts.geom.frame).icrs
    sky = sky[np.repeat(np.arange(number.size), number)]
    table = Table({"RA": sky.ra, "DEC": sky.dec})
    table["ENERGY"] = np.repeat(coords["energy"].ravel(), number)
    table["TIME"] = FIRST + rng.choice(years, len(table)) * u.yr
    return EventList(table)


#: Times all over the good ones.
STEADY = np.concatenate([np.arange(a + 0.005, b, 0.01) for a, b in [(0, 0.5), (0.75, 1.5), (1.75, 2.5)]])
STEADY = np.concatenate([STEADY, np.arange(2.755, 3.5, 0.01), np.arange(3.755, 4, 0.01)])


@pytest.fixture(scope="module")
def events(whole):
    return events_of(whole.counts, STEADY)


def test_counts_and_exposure_are_divided(whole, events):
    parts = split_in_time(whole, events, bins=4)
    assert parts.names == ["lat-01", "lat-02", "lat-03", "lat-04"]
    total = sum(part.counts.data for part in parts)
    np.testing.assert_array_equal(total, whole.counts.data)
    for part, year in zip(parts, range(4), strict=True):
        # each year has three good quarters
        np.testing.assert_allclose(part.gti.time_sum.to_value("yr"), 0.75)
        years = (events.table["TIME"] - FIRST).to_value("yr")
        assert part.counts.data.sum() == np.count_nonzero((years >= year) & (years < year + 1))
        np.testing.assert_allclose(part.exposure.data, whole.exposure.data / 4, rtol=1e-6)
        np.testing.assert_allclose(part.background.data, whole.background.data / 4, rtol=1e-6)
        assert part.exposure.unit == whole.exposure.unit
    bins = find_time_bins(parts)
    np.testing.assert_allclose(bins.years[1], [0.5 + 0.5, 2 - 0.5 + 0.0, 3, 4], atol=0.51)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0.1, 3.9), min_size=1, max_size=8, unique_by=lambda x: round(x, 1)))
def test_any_edges_keep_all(whole, events, inner):
    edges = np.array([0, *sorted(inner), 4])
    good = GoodTimes.from_gtis([GOOD])
    empty = [good.cut(a * YEAR, b * YEAR).livetime == 0 for a, b in zip(edges[:-1], edges[1:], strict=True)]
    if any(empty):
        with pytest.raises(ValueError, match="There is no good time from"):
            split_in_time(whole, events, edges * u.yr)
        return
    parts = split_in_time(whole, events, FIRST + edges * u.yr)
    np.testing.assert_array_equal(sum(part.counts.data for part in parts), whole.counts.data)
    np.testing.assert_allclose(sum(part.exposure.data for part in parts), whole.exposure.data, rtol=1e-5)
    np.testing.assert_allclose(sum(part.gti.time_sum for part in parts).to_value("yr"), 3)


def test_some_of_the_time(whole, events):
    parts = split_in_time(whole, events, [1, 2, 3] * u.yr)
    np.testing.assert_allclose(parts[0].exposure.data, whole.exposure.data / 4, rtol=1e-6)
    assert sum(part.counts.data.sum() for part in parts) < whole.counts.data.sum() * 0.6


def test_pointing_is_seen_in_the_photons(whole, caplog):
    # in the last year the instrument looks here twice as long, and one source flares in the first
    years = np.concatenate([STEADY, STEADY[STEADY > 3]])
    bright = whole.counts.copy()
    bright.data[:2, 9:12, 9:12] += 100
    first, rest = events_of(bright - whole.counts, STEADY[STEADY < 1]), events_of(whole.counts, years)
    dataset = with_models(whole, None, "lat", counts=bright)
    with caplog.at_level(logging.WARNING):
        parts = split_in_time(dataset, [first, rest], 4)
    assert "'lat' do not follow its good times, by factors of 0." in caplog.text
    shares = [part.exposure.data.mean() / whole.exposure.data.mean() for part in parts]
    np.testing.assert_allclose(shares, [0.2, 0.2, 0.2, 0.4], atol=0.02)
    np.testing.assert_allclose(np.sum(shares), 1, rtol=1e-6)


def test_few_photons_tell_nothing(whole, events, caplog):
    livetime = np.array([0.1, 0.2, 0.3, 0.4])
    geom, valid = whole.counts.geom.to_image(), np.ones((40, 40), bool)
    few = np.zeros((4, 40, 40))
    few[3, :6, :6] = 1
    np.testing.assert_array_equal(exposure_shares(few, livetime, valid, geom, "lat"), livetime)
    # nor do small differences among many
    rng = np.random.default_rng(3)
    many = rng.poisson(100 * np.array([0.102, 0.2, 0.3, 0.398])[:, None, None] * np.ones((40, 40)))
    np.testing.assert_array_equal(exposure_shares(many, livetime, valid, geom, "lat"), livetime)
    assert caplog.text == ""
    other = exposure_shares(many, livetime[::-1], valid, geom, "lat")
    np.testing.assert_allclose(other, [0.102, 0.2, 0.3, 0.398], rtol=0.02)
    # none at all is an error
    short = EventList(events.table[events.table["TIME"] < FIRST + 2 * u.yr])
    empty = with_models(whole, None, counts=whole.counts * 0)
    with pytest.raises(ValueError, match="no event of dataset 'lat' in time bin 3 of 4"):
        split_in_time(empty, short, 4)
    varying = np.kron(rng.uniform(0.2, 1, (4, 5, 5)), np.ones((8, 8))) * 100
    exposure_shares(varying, livetime, valid, geom, "lat")
    assert "of the field of dataset 'lat' vary in time" in caplog.text


def test_models_are_divided(whole, events):
    template = TemplateNPredModel(whole.background * 0.5, name="template", datasets_names=["lat"])
    norm = FoVBackgroundModel(dataset_name="lat")
    norm.spectral_model.norm.value = 1.5
    source = SkyModel(
        PowerLawSpectralModel(), PointSpatialModel(lon_0="83 deg", lat_0="22 deg"), name="source"
    )
    own = with_models(whole, Models([source, norm, template]))
    parts = split_in_time(own, events, 4)
    np.testing.assert_allclose(
        sum(part.npred().data for part in parts), own.npred().data, rtol=1e-4, atol=1e-6
    )
    assert [model.name for model in parts.models].count("source") == 1
    assert own.models.names == ["source", norm.name, "template"]


def test_events_of_files(whole, events, tmp_path):
    first, second = tmp_path / "first.fits", tmp_path / "second.fits"
    half = len(events.table) // 2
    for path, table in ((first, events.table[:half]), (second, events.table[half:])):
        write(path, table)
    no_times = with_models(whole, None, gti=None)
    parts = split_in_time(no_times, [first, str(second)], 4)
    np.testing.assert_array_equal(sum(part.counts.data for part in parts), whole.counts.data)
    np.testing.assert_allclose(parts[2].gti.time_sum.to_value("yr"), 0.75)
    with pytest.raises(FileNotFoundError):
        split_in_time(whole, tmp_path / "none.fits")
    other = tmp_path / "map.fits"
    whole.counts.write(other)
    with pytest.raises(ValueError, match=re.escape(f"{other} holds no list of events")):
        split_in_time(whole, other)
    lost = tmp_path / "lost.fits"
    with fits.open(first) as hdus:
        columns = [column for column in hdus["EVENTS"].columns if column.name != "TIME"]
        fits.BinTableHDU.from_columns(columns, hdus["EVENTS"].header, name="EVENTS").writeto(lost)
    with pytest.raises(ValueError, match="holds no events with times"):
        split_in_time(whole, lost)


def write(path, table, good=GOOD, **keys):
    """Events as the Fermi tools write them."""
    table = Table(table)
    table["TIME"] = (table["TIME"] - FIRST).to_value("s")
    table["TIME"].unit = "s"
    table.meta |= {"MJDREFI": 54682, "MJDREFF": 0.0, "TIMESYS": "TT", "TIMEUNIT": "s", "TIMEREF": "LOCAL"}
    table.meta |= {"TELESCOP": "GLAST", "INSTRUME": "LAT", "HDUCLAS1": "EVENTS"} | keys
    hdu = fits.BinTableHDU(table, name="EVENTS")
    fits.HDUList([fits.PrimaryHDU(), hdu, good.to_table_hdu()]).writeto(path)


def test_selection_of_events(whole, events, tmp_path, caplog):
    path = tmp_path / "events.fits"
    selection = {"DSTYP1": "ENERGY", "DSUNI1": "MeV", "DSVAL1": "3000:100000"}
    table = events.table[events.table["ENERGY"] > 3 * u.GeV]
    write(path, table, **selection)
    empty = with_models(whole, None, counts=whole.counts * 0)
    with caplog.at_level(logging.WARNING):
        parts = split_in_time(empty, path, 4)
    assert "lie outside of the region and the energies" in caplog.text
    # bins of 1-3.16 and of 3.16 GeV and more
    assert parts[0].mask_safe.data.any(axis=(1, 2)).tolist() == [False, True, True, True]
    with pytest.raises(ValueError, match="are not those of dataset 'lat'"):
        split_in_time(whole, path, 4)
    other = tmp_path / "other.fits"
    write(other, events.table, DSTYP1="POS(RA,DEC)", DSUNI1="deg", DSVAL1="CIRCLE(120,22,5)")
    with pytest.raises(ValueError, match="in another region or at other energies"):
        split_in_time(empty, other, 4)


def test_bad_events(whole, events, tmp_path):
    for message, dataset, own in [
        ("are not those of dataset 'lat'", whole, EventList(events.table[::2])),
        ("None of the events lies in the field", whole, EventList(events.table[:0])),
        ("has no good time intervals, and nor have", with_models(whole, None, gti=None), events),
        (
            "outside of its good times, 547.9 days from 2020",
            with_models(whole, None, gti=gti([12, 13], [12.75, 13.75])),
            events,
        ),
        ("No events were given", whole, []),
    ]:
        with pytest.raises(ValueError, match=message):
            split_in_time(dataset, own)
    path = tmp_path / "half.fits"
    write(path, events.table, gti(0, 2))
    with pytest.raises(ValueError, match="are 1096 days .* those of its events 730.5 days"):
        split_in_time(whole, path)
    for own in (3, None, events.table):
        with pytest.raises(TypeError, match="Events must be an EventList or the name of a file"):
            split_in_time(whole, own)
    with pytest.raises(TypeError, match="Expected a MapDataset"):
        split_in_time([whole], events)


@pytest.mark.parametrize("bins", [1, 21, 0, -3, np.int64(1)])
def test_bad_numbers_of_bins(bins):
    with pytest.raises(ValueError, match="must be 2 to 20"):
        bin_edges(bins, FIRST + [0, 1] * u.yr)


def test_bad_edges():
    limits = FIRST + [0, 1] * u.yr
    for bins, error, message in [
        (2.5, TypeError, "are a number, or edges"),
        (True, TypeError, "are a number, or edges"),
        ("10", TypeError, "are a number, or edges"),
        (1 * u.yr, ValueError, "must be a list"),
        ([0, 1, 2] * u.m, ValueError, "must be times"),
        ([0, 2, 1] * u.yr, ValueError, "must increase"),
        ([0, np.nan, 1] * u.yr, ValueError, "must increase, and be finite"),
        (FIRST + [0, 1] * u.yr, ValueError, "must be 2 to 20, got 1"),
    ]:
        with pytest.raises(error, match=message):
            bin_edges(bins, limits)
    np.testing.assert_allclose((bin_edges(4, limits) - FIRST).to_value("yr"), [0, 0.25, 0.5, 0.75, 1])


def test_healpix(lat_field):
    geom = HpxGeom.create(nside=64, region="DISK(83,22,4)", frame="icrs")
    dataset = with_models(lat_field(geom), None, "hpx", gti=GOOD)
    parts = split_in_time(dataset, events_of(dataset.counts, STEADY), 4)
    np.testing.assert_array_equal(sum(part.counts.data for part in parts), dataset.counts.data)


def test_whole_sky_with_pixels_outside(whole, events):
    geom = WcsGeom.create(binsz=1, proj="AIT", frame="galactic", axes=whole.counts.geom.axes)
    sky = with_models(whole, None, counts=Map.from_geom(geom), background=None, exposure=whole.exposure)
    parts = split_in_time(sky, events, 4)
    assert sum(part.counts.data.sum() for part in parts) == whole.counts.data.sum()


@pytest.mark.skipif("GAMMAPY_DATA" not in os.environ, reason="needs the 3FHL data of the Galactic centre")
def test_years_of_the_galactic_centre(caplog):
    folder = Path(os.environ["GAMMAPY_DATA"]) / "fermi-3fhl-gc"
    dataset = MapDataset.read(folder / "fermi-3fhl-gc.fits.gz", name="gc")
    parts = split_in_time(dataset, folder / "fermi-3fhl-gc-events.fits.gz", 7)
    counts, background = (
        np.array([getattr(part, what).data.sum() for part in parts]) for what in ("counts", "background")
    )
    assert counts.tolist() == [4500, 3949, 4151, 4111, 3946, 6175, 5902]
    # The centre was observed more from the end of 2013, which is no change of its sources
    np.testing.assert_allclose(counts / background, 1.147, rtol=0.02)
    np.testing.assert_allclose(background.sum(), dataset.background.data.sum(), rtol=1e-5)
    assert "by factors of 0.83 to 1.30" in caplog.text


@pytest.fixture(scope="module")
def runs(whole):
    """Runs of three hours on three seasons, on cutouts of one geometry."""
    datasets = []
    for i, start in enumerate((0.1, 0.11, 0.12, 1.1, 1.101, 2.1)):
        centre = SkyCoord(83 + 0.5 * (i % 2), 22, unit="deg")
        run = whole.cutout(centre, 3 * u.deg, name=f"run-{i}")
        run.gti = gti(start, start + 3 / 24 / 365.25)
        run.mask_safe = None if i else Map.from_geom(run.counts.geom, data=run.counts.data >= 0)
        datasets.append(run)
    return datasets


def test_runs_are_stacked(runs):
    order = [3, 0, 5, 1, 4, 2]
    bins = stack_in_time([runs[i] for i in order], [-0.05, 0.95, 1.95, 2.95] * u.yr)
    assert bins.names == ["time-01", "time-02", "time-03"]
    for part, members in zip(bins, (runs[:3], runs[3:5], runs[5:]), strict=True):
        assert part.counts.data.sum() == sum(run.counts.data.sum() for run in members)
        np.testing.assert_allclose(
            part.background.data.sum(), sum(run.background.data.sum() for run in members), rtol=1e-5
        )
        np.testing.assert_allclose(part.gti.time_sum.to_value("h"), 3 * len(members))
        assert part.mask_safe.data.any()
    # where both pointings look their exposures add up
    run = runs[0].exposure
    middle = {"skycoord": SkyCoord(83.2, 22, unit="deg"), "energy_true": 5 * u.GeV}
    np.testing.assert_allclose(
        1e4 * bins[0].exposure.get_by_coord(middle), 3 * run.get_by_coord(middle), rtol=1e-6
    )
    found = find_time_bins(bins)
    assert len(found) == 3
    assert runs[0].mask_safe is not None and runs[1].mask_safe is None


def test_bad_runs(runs, whole):
    bins = [-0.05, 0.95, 1.95, 2.95] * u.yr
    for message, datasets in [
        ("'run-1' has no good time intervals", [runs[0], with_models(runs[1], None, gti=None)]),
        ("'lat' is longer than a time bin", [*runs, whole]),
        ("has no background, and the other", [*runs, with_models(runs[1], None, "bare", background=None)]),
    ]:
        with pytest.raises(ValueError, match=message):
            stack_in_time(datasets, bins)
    with pytest.raises(ValueError, match="No dataset lies between 2009-"):
        stack_in_time(runs[:3] + runs[5:], bins)
    other = runs[5].downsample(2, name="coarse")
    with pytest.raises(ValueError, match="have geometries that can't be stacked"):
        stack_in_time([*runs[:5], with_models(other, None, "coarse", gti=runs[5].gti)], bins)
    with pytest.raises(TypeError, match="Only a MapDataset can be stacked"):
        stack_in_time([*runs, "run"], bins)
