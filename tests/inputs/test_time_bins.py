# Licensed under a 3-clause BSD style license - see LICENSE
import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.time import Time
from gammapy.data import GTI
from gammapy.datasets import Datasets
from gammapy.maps import Map, WcsGeom
from hypothesis import given, settings
from hypothesis import strategies as st

from gammapy_asid.inputs.bands import Bands
from gammapy_asid.inputs.convert import to_band_cube
from gammapy_asid.inputs.datasets import with_models
from gammapy_asid.inputs.time_bins import find_time_bins, time_counts, usable_in_time

FIRST = Time("2008-08-04T15:43:36", scale="tt")
BANDS = Bands((1.0, 3.0, 10.0, 100.0), (2, 1, 0))


def gti(start, stop):
    """Good times between two moments in years, with a gap in their middle."""
    start, stop = (FIRST + np.atleast_1d(t) * u.yr for t in (start, stop))
    return GTI.create(start, stop, FIRST)


@pytest.fixture(scope="module")
def whole(lat_field):
    return lat_field(WcsGeom.create(npix=(24, 20), binsz=0.1, skydir=(83, 22)))


@pytest.fixture(scope="module")
def in_bins(whole):
    """Function that makes bins of the data of a whole, between limits in years."""

    def make(limits, part=None, **maps):
        limits = np.atleast_2d(limits)
        share = np.diff(limits, axis=1)[:, 0] / np.diff(limits, axis=1).sum()
        rng, datasets = np.random.default_rng(1), []
        split = rng.multinomial(whole.counts.data.astype(int), share)
        for i, (start, stop) in enumerate(limits):
            own = {
                "counts": whole.counts.copy(data=split[..., i].astype(float)),
                "exposure": whole.exposure * share[i],
                "background": whole.background * share[i],
                "gti": gti([start, start + 0.7 * (stop - start)], [start + 0.6 * (stop - start), stop]),
            }
            datasets.append(with_models(whole, None, f"bin-{i}{part or ''}", **own | maps))
        return datasets

    return make


YEARLY = [(0, 1), (1, 2), (2, 4)]


def test_bins_are_found_in_any_order(in_bins):
    first, second, third = in_bins(YEARLY)
    bins = find_time_bins(Datasets([third, first, second]))
    assert len(bins) == 3
    assert [member.names for member in bins.members] == [["bin-0"], ["bin-1"], ["bin-2"]]
    np.testing.assert_allclose(bins.years[0], [0, 1, 2], atol=1e-9)
    np.testing.assert_allclose(bins.years[1], [1, 2, 4], atol=1e-9)
    assert abs((bins.start[0] - FIRST).to_value("s")) < 1e-3
    assert repr(bins) == "<TimeBins: 3 bins of 1-2 years, 2008-08-04 to 2012-08-04, 3 datasets>"


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(6)), st.lists(st.floats(0.01, 5), min_size=6, max_size=6))
def test_order_of_any_bins(whole, order, widths):
    edges = np.concatenate([[0], np.cumsum(widths)])
    datasets = [
        with_models(whole, None, f"bin-{i}", gti=gti(edges[i], edges[i + 1])) for i in range(len(widths))
    ]
    bins = find_time_bins([datasets[i] for i in order])
    assert [member.names for member in bins.members] == [[f"bin-{i}"] for i in range(6)]
    np.testing.assert_allclose(bins.years[1] - bins.years[0], widths, rtol=1e-6)
    assert bins.index.tolist() == list(order)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.02, 0.98), st.booleans())
def test_any_overlap_is_refused(whole, overlap, reverse):
    datasets = [
        with_models(whole, None, f"bin-{i}", gti=gti(start, start + 1))
        for i, start in enumerate((0, 1, 2 - overlap))
    ]
    with pytest.raises(ValueError, match="'bin-1' .* and dataset 'bin-2' .* overlap in part"):
        find_time_bins(datasets[::-1] if reverse else datasets)


def test_one_observation_has_no_time(whole, in_bins):
    assert find_time_bins(whole) is None
    assert find_time_bins(in_bins([(0, 1)])) is None
    assert find_time_bins([*in_bins([(0, 1)], "front"), *in_bins([(0, 1)], "back")]) is None
    # an empty list of times, as that of MapDataset.create, is none
    empty = GTI.create([] * u.s, [] * u.s)
    assert find_time_bins([with_models(whole, None, name, gti=empty) for name in "ab"]) is None
    assert find_time_bins(to_band_cube(in_bins(YEARLY), BANDS)) is None


def test_components_of_a_bin(in_bins):
    front, back = in_bins(YEARLY, "-front"), in_bins(YEARLY, "-back")
    # other cuts make slightly other good times
    back[1].gti = gti(1.001, 1.999)
    bins = find_time_bins([*front, *back])
    assert [set(member.names) for member in bins.members] == [
        {f"bin-{i}-front", f"bin-{i}-back"} for i in range(3)
    ]
    with pytest.raises(ValueError, match="of 'bin-0-front', 'bin-0-back' and of 'bin-1-back' have 2 and 1"):
        find_time_bins([front[0], *back, front[2]])


def test_bad_bins_are_refused_by_name(whole, in_bins, lat_field):
    first, second, third = in_bins(YEARLY)
    named = {
        "'bad' has no good time intervals and others have: set dataset.gti": {"gti": None},
        "'bad' has good time intervals without a livetime": {"gti": gti(1.5, 1.5)},
        "'bad' is a time bin without exposure": {"exposure": whole.exposure * 0},
        "'bad' is a time bin that is masked everywhere": {
            "mask_safe": Map.from_geom(whole.counts.geom, dtype=bool)
        },
    }
    for message, maps in named.items():
        with pytest.raises(ValueError, match=message):
            find_time_bins([first, with_models(second, None, "bad", **maps), third])
    moved = lat_field(WcsGeom.create(npix=(24, 20), binsz=0.1, skydir=(83.5, 22)))
    other = with_models(moved, None, "moved", gti=second.gti)
    with pytest.raises(ValueError, match="'moved' has other pixels or energies"):
        find_time_bins([first, other, third])
    other = with_models(whole.resample_energy_axis(whole.counts.geom.axes["energy"].downsample(2)), None, "e")
    other.gti = second.gti
    with pytest.raises(ValueError, match="'e' has other pixels or energies"):
        find_time_bins([first, other, third])
    with pytest.raises(ValueError, match="Several time bins have the name 'bin-0'"):
        find_time_bins([first, with_models(second, None, "bin-0")])
    with pytest.raises(ValueError, match=r"21 separate times.*stack_in_time"):
        find_time_bins([with_models(whole, None, f"{i}", gti=gti(i, i + 1)) for i in range(21)])
    with pytest.raises(TypeError, match="Expected a MapDataset"):
        find_time_bins([first, "second"])


def test_long_gaps_are_said_once(in_bins, caplog):
    for limits in ([(0, 1), (1.4, 2.4)], [(0, 1), (1.6, 2.6), (2.7, 3.2), (3.9, 5)]):
        assert caplog.text == ""
        datasets = in_bins(limits)
        with caplog.at_level(logging.WARNING):
            result = time_counts(find_time_bins(datasets), to_band_cube(datasets, BANDS))
        assert len(result.counts[0]) == len(limits)
    assert len(caplog.records) == 1
    assert "2 of 3 gaps between time bins are long, up to 0.7 years" in caplog.text


def test_no_bin_is_left_out(in_bins, whole, caplog):
    first, second, third = in_bins(YEARLY)
    assert [dataset.name for dataset in usable_in_time([third, first])] == ["bin-2", "bin-0"]
    for what in ("psf", "exposure"):
        with pytest.raises(ValueError, match=f"'bad' .*{what}"):
            usable_in_time([first, with_models(second, None, "bad", **{what: None}), third])
    # without time what can be used is used
    with caplog.at_level(logging.WARNING):
        assert len(usable_in_time([whole, with_models(whole, None, "bad", psf=None)])) == 1
    assert "1 of 2 datasets are left out" in caplog.text


@pytest.mark.parametrize("background", [True, False])
def test_counts_and_shares(in_bins, background):
    datasets = in_bins(YEARLY, **({} if background else {"background": None}))
    # in the last bin a part is masked
    mask = np.ones(datasets[0].counts.data.shape, bool)
    mask[:, :8] = False
    mask[:, :4, :8] = False
    datasets[2].mask_safe = Map.from_geom(datasets[0].counts.geom, data=mask)
    datasets = [datasets[i] for i in (2, 0, 1)]
    cube = to_band_cube(datasets, BANDS)
    result = time_counts(find_time_bins(datasets), cube)
    assert result.exposure_share.shape == (3, 3)
    for b, level in enumerate(BANDS.levels):
        assert result.counts[b].dtype == result.share[b].dtype == np.float32
        assert result.counts[b].shape == (3, 24 // 2**level, 24 // 2**level)
        np.testing.assert_allclose(result.counts[b].sum(axis=0), cube.counts[b])
        valid = cube.exposure[b] > 0
        np.testing.assert_allclose(result.share[b].sum(axis=0)[valid], 1, rtol=1e-5)
        assert (result.share[b][:, ~valid] == 0).all()
        # where the last bin is masked the others share
        np.testing.assert_allclose(result.share[b][:, 1, 1], [0.5, 0.5, 0], rtol=1e-5)
        np.testing.assert_allclose(result.share[b][:, 16 // 2**level, 5], [0.25, 0.25, 0.5], rtol=1e-5)
    # 12 of 20 rows are seen for two years
    np.testing.assert_allclose(result.exposure_share.sum(axis=0), 1)
    np.testing.assert_allclose(result.exposure_share[2], 0.5 * 0.6 / (0.5 + 0.5 * 0.6), rtol=0.02)


def test_bins_stack_to_the_whole(whole, in_bins):
    cube, stacked = to_band_cube(in_bins(YEARLY), BANDS), to_band_cube(whole, BANDS)
    for what in ("counts", "background", "exposure"):
        for one, other in zip(getattr(cube, what), getattr(stacked, what), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5)
    np.testing.assert_allclose(cube.response.exposure, stacked.response.exposure, rtol=1e-6)
    np.testing.assert_allclose(cube.response.psf, stacked.response.psf, rtol=1e-6)


def test_divided_pixels_keep_their_counts(lat_field):
    # pixels of 0.5 deg are divided: counts fall in random places, the same ones in the bins
    whole = lat_field(WcsGeom.create(npix=(12, 12), binsz=0.5, skydir=(83, 22)), level=20)
    datasets = [with_models(whole, None, f"{i}", gti=gti(i, i + 1)) for i in (2, 0, 1)]
    datasets[0].counts = whole.counts * 2
    cube = to_band_cube(datasets, BANDS)
    result = time_counts(find_time_bins(datasets), cube)
    for one, all_ in zip(result.counts, cube.counts, strict=True):
        np.testing.assert_array_equal(one.sum(axis=0), all_)
        np.testing.assert_allclose(one.sum(axis=(1, 2)) / all_.sum(), [0.25, 0.25, 0.5])


def test_cube_of_other_data_is_refused(in_bins, whole):
    datasets = in_bins(YEARLY)
    bins = find_time_bins(datasets)
    with pytest.raises(ValueError, match="Nothing of time bin 2 .dataset bin-2. can be used"):
        time_counts(bins, to_band_cube(datasets[:2], BANDS))
    cube = to_band_cube(datasets, BANDS)
    cube.counts = [image + 1 for image in cube.counts]
    with pytest.raises(ValueError, match="has other counts than the time bins"):
        time_counts(bins, cube)


def test_absent_bands_have_no_share(in_bins):
    bands = Bands((0.1, 0.5, 3.0, 100.0), (2, 1, 0))
    datasets = in_bins(YEARLY)
    result = time_counts(find_time_bins(datasets), to_band_cube(datasets, bands))
    assert (result.exposure_share[:, 0] == 0).all() and (result.share[0] == 0).all()
    np.testing.assert_allclose(result.exposure_share[:, 1], [0.25, 0.25, 0.5])
