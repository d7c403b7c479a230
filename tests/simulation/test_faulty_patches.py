# Licensed under a 3-clause BSD style license - see LICENSE
"""Patches of skies, masks and models that are wrong."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from gammapy_asid.learning.peaks import Peaks
from gammapy_asid.simulation.diffuse import analytic_emission
from gammapy_asid.simulation.faulty_patches import FAULTS, FaultyLatSimulator
from gammapy_asid.simulation.lat_patches import LatSimulator
from gammapy_asid.simulation.mock_catalog import SOURCE_CLASSES
from gammapy_asid.simulation.populations import draw_sky
from gammapy_asid.tasks.detection.simulated_candidates import claimed_sources

SIZE = 32


@pytest.fixture(scope="module")
def arguments(make_response):
    emission = torch.tensor(np.stack([analytic_emission(seed).intensity for seed in range(2)]))
    return [make_response(0.1, 5.0), make_response(0.15, 2.0)], [0.5, 0.5], emission, draw_sky, SIZE


@pytest.fixture(scope="module")
def simulator(arguments):
    return FaultyLatSimulator(*arguments)


def drawn(simulator, fault, n=24, seed=1):
    """Patches with one fault, and those of equal seeds without."""
    result = []
    for name in ("none", fault):
        simulator.shares = np.array([name == other for other in FAULTS], float)
        result.append(simulator.draw(n, seed))
    simulator.shares = np.array(list(FAULTS.values()))
    none, spoiled = result
    assert (spoiled.fault == list(FAULTS).index(fault)).all()
    return none, spoiled


def test_without_faults_nothing_changes(simulator, arguments):
    patches, _ = drawn(simulator, "gas")
    today = LatSimulator(*arguments).draw(24, 1)
    for ours, theirs in zip(patches.batch.counts, today.batch.counts, strict=True):
        assert torch.equal(ours, theirs)
    for name in ("patch", "x", "y", "flux", "significance", "latitude", "source_class", "width"):
        assert torch.equal(getattr(patches, name), getattr(today, name))
    assert (patches.fault == 0).all()


def test_shares(simulator, arguments):
    patches = simulator.draw(100, 2)
    assert patches.fault.dtype == torch.int8
    number = torch.bincount(patches.fault.long(), minlength=len(FAULTS)).numpy()
    # Binomial numbers within four standard deviations
    share = np.array(list(FAULTS.values()))
    assert (np.abs(number - 100 * share) < 4 * np.sqrt(100 * share)).all()
    again = simulator.draw(100, 2)
    assert torch.equal(again.fault, patches.fault)
    assert all(torch.equal(a, b) for a, b in zip(again.batch.counts, patches.batch.counts, strict=True))
    other = FaultyLatSimulator.like(LatSimulator(*arguments, background_share=0.4, plane_share=0.1), 0.5)
    assert_allclose(other.shares, [0.5, *(share[1:] * 0.5 / 0.7)])
    assert (other.background_share, other.plane_share, other.size) == (0.4, 0.1, SIZE)
    with pytest.raises(ValueError, match="'gass'.*name at least one"):
        FaultyLatSimulator(*arguments, shares={"gass": 1.0})


def test_gas_is_in_the_truth_alone(simulator):
    none, gas = drawn(simulator, "gas")
    known = none.batch.has_background
    assert known.any()
    for band, (before, after) in enumerate(zip(none.expected, gas.expected, strict=True)):
        assert (after >= before * (1 - 1e-6)).all()
        # No source and no prediction knows of it.
        assert torch.equal(none.batch.background[band], gas.batch.background[band])
    assert torch.equal(none.flux, gas.flux) and torch.equal(none.x, gas.x)
    more = torch.stack([(a - b).sum((1, 2)) for a, b in zip(gas.expected, none.expected, strict=True)], 1)
    total = torch.stack([b.sum((1, 2)) for b in none.expected], 1)
    # Hardly any away from the plane, some per cent on it.
    assert 0.01 < float((more / total).max()) < 0.3
    # Gas is softer than sources: the index of its counts in 1-2 and 2-7 GeV is that which was drawn.
    assert_allclose(float((more[:, 3] / more[:, 2]).mean()), 0.49, atol=0.05)
    # What brightens the sky hides sources.
    assert (gas.significance <= none.significance * (1 + 1e-5)).all()
    assert (gas.significance < 0.99 * none.significance).any()


def test_wrong_emission(simulator):
    none, wrong = drawn(simulator, "emission", n=48)
    known = none.batch.has_background
    mask = none.batch.mask[2][known] > 0
    ratio = wrong.batch.background[2][known] / none.batch.background[2][known]
    assert torch.isfinite(ratio[mask]).all()
    level = torch.stack([r[m].mean() for r, m in zip(ratio, mask, strict=True) if m.any()])
    # Levels are wrong by up to 30 %, and by what another model and a bubble make.
    assert 0.05 < float(torch.log(level).std()) < 0.5
    assert torch.equal(none.flux, wrong.flux)


def test_masks_have_bright_neighbours_outside(simulator):
    none, ragged = drawn(simulator, "masks")
    assert_allclose(ragged.batch.mask[0].mean(), 0.6, atol=0.15)
    for mask in ragged.batch.mask:
        assert mask.min() >= 0 and mask.max() <= 1
    # Coarse pixels are masked in part.
    coarse = ragged.batch.mask[0]
    assert ((coarse > 0) & (coarse < 1)).any()
    for counts, mask in zip(ragged.batch.counts, ragged.batch.mask, strict=True):
        assert (counts[mask == 0] == 0).all()
    added = slice(len(none.flux), None)
    x, y, patch = (getattr(ragged, name)[added] for name in ("x", "y", "patch"))
    column, row = (torch.round(v).long() for v in (x, y))
    inside = (column >= 0) & (column < SIZE) & (row >= 0) & (row < SIZE)
    valid = ragged.batch.field_mask[patch[inside], row[inside], column[inside]]
    assert inside.any() and (valid == 0).all()
    # They are farther away than a candidate's own source can be.
    for number in patch.unique():
        row, column = torch.nonzero(ragged.batch.field_mask[number], as_tuple=True)
        own = patch == number
        distance = torch.hypot(row[:, None] - y[own], column[:, None] - x[own]).amin(0)
        # Positions lie anywhere in their pixels.
        assert (distance > 3 - 0.71).all() and (distance < 9 + 0.71).all()


def test_bright_sources_have_another_point_spread_function(simulator):
    none, bright = drawn(simulator, "bright")
    for wrong, right in zip(simulator.wrong_bank.responses, simulator.bank.responses, strict=True):
        assert 0.03 <= abs(np.log(wrong.pixel_size / right.pixel_size)) <= 0.1
    added = bright.flux[len(none.flux) :]
    # Some are modelled and thus no true sources.
    assert 0 < len(added) < 48
    assert added.min() > 10**-8.7 and added.max() < 10**-6.2
    predicted = [
        (b - a).abs().sum((1, 2)) > 0
        for a, b in zip(none.batch.background, bright.batch.background, strict=True)
    ]
    modelled = torch.stack(predicted).any(0)
    assert modelled.any() and not modelled[~none.batch.has_background].any()
    # Pairs and wrong point spread functions keep the counts.
    some = (
        torch.stack([e.sum() for e in bright.expected]).sum()
        - torch.stack([e.sum() for e in none.expected]).sum()
    )
    assert some > 0


def test_extended_sources_are_claimed_in_a_wider_circle(simulator):
    none, extended = drawn(simulator, "extended", n=48)
    new = torch.arange(len(none.flux), len(extended.flux))
    assert 48 <= len(new) <= 96
    width = extended.width[new]
    # From a shell of a tenth of a degree to a disk or Gaussian of 1.5 deg
    assert width.min() > 0.04 and width.max() <= 1.0
    assert (extended.width[: len(none.flux)] == 0).all()
    names = np.array(SOURCE_CLASSES)[extended.source_class[new].numpy()]
    assert set(names) == {"pwn", "snr"}
    seen = extended.significance[new] > 0
    assert ((extended.significance[new][seen] >= 4) & (extended.significance[new][seen] <= 100)).all()
    assert (extended.latitude[new].abs() <= 90).all()
    # The counts in the list are those of the spectra, and in the patches.
    inside = (extended.x[new] - 15.5).abs().maximum((extended.y[new] - 15.5).abs()) < 8
    narrow = new[inside & (width < 0.15) & seen]
    whole = torch.bincount(extended.patch[new], minlength=48)[extended.patch[narrow]] == 1
    assert whole.any()
    for source in narrow[whole]:
        patch = extended.patch[source]
        if (extended.batch.mask[5][patch] == 1).all():
            more = extended.expected[5][patch].sum() - none.expected[5][patch].sum()
            assert_allclose(more, extended.counts[source, 5], rtol=0.02)

    # A candidate half a width off claims a wide source, not a point.
    wide = new[seen & (width > 0.6)]
    peaks = Peaks(
        field=extended.patch[wide].numpy(),
        x=(extended.x[wide] + 0.5 * extended.width[wide] / extended.batch.pixel_size[extended.patch[wide]])
        .numpy()
        .astype(float),
        y=extended.y[wide].numpy().astype(float),
        score=np.ones(len(wide)),
        height=np.ones(len(wide)),
        sigma=np.ones(len(wide)),
    )
    true, _ = claimed_sources(extended, peaks)
    assert (true == wide.numpy()).mean() > 0.5
