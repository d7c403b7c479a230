# Licensed under a 3-clause BSD style license - see LICENSE
from dataclasses import replace

import numpy as np
import torch

from gammapy_asid.simulation.mock_catalog import SOURCE_CLASSES
from gammapy_asid.tasks.classification import bank, splits
from gammapy_asid.tasks.classification.splits import SplitTime
from gammapy_asid.tasks.classification.stamps import HALF


def test_candidates_true_and_false(candidates):
    n = len(candidates)
    assert n > 100
    fake = candidates.source_class < 0
    assert 0.2 < fake.float().mean() < 0.8
    assert torch.all(candidates.significance[~fake] >= 2) and torch.all(candidates.significance[fake] == 0)
    # False candidates have lower scores
    assert candidates.score[~fake].mean() > candidates.score[fake].mean() + 0.2
    size = 2 * HALF + 1
    assert candidates.stamps.counts.shape == (n, 10, 6, size, size)
    for name, value in vars(candidates.stamps).items():
        assert torch.isfinite(value.float()).all(), name


def test_equal_seeds_give_equal_candidates(candidate_simulator, candidates):
    again, other = candidate_simulator.draw(300, 1), candidate_simulator.draw(300, 2)
    for name, value in bank.to_tensors(candidates).items():
        torch.testing.assert_close(bank.to_tensors(again)[name], value, rtol=0, atol=0)
    assert len(other) != len(again) or not torch.equal(other.score, again.score)


def test_counts_add_up_and_the_mean_flux_is_that_of_the_fit(candidates):
    stamps = candidates.stamps
    together = stamps.whole()
    torch.testing.assert_close(together.counts[:, 0], stamps.counts.sum(1))
    torch.testing.assert_close(together.share, torch.ones_like(together.share))
    # Where a band was fitted well its whole-time gradient is small against its error
    pull = together.excess / torch.sqrt(together.information + 1e-3)
    bright = together.information > 30
    assert pull[bright].abs().median() < 0.3


def test_light_curves_are_found_again(candidate_simulator, monkeypatch):
    """Flux in each bin over its mean, where one class varies and others do not."""
    curve = np.array([0.4, 0.4, 2.2, 1.0])

    def fsrq_only(rng, source_class, edges, weights, flux):
        own = curve / np.average(curve, weights=weights)
        return np.where((source_class == "fsrq")[:, None], own, 1.0)

    monkeypatch.setattr(splits, "draw_light_curves", fsrq_only)
    drawn = candidate_simulator.draw(900, 4, n_bins=4)
    fsrq = drawn.source_class == SOURCE_CLASSES.index("fsrq")
    bright = fsrq & (drawn.significance > 12)
    assert bright.sum() > 10
    stamps = drawn.stamps.select(torch.nonzero(bright)[:, 0])
    flux = 1 + stamps.excess.sum(-1) / stamps.information.sum(-1)
    found = flux.median(0).values.numpy()
    np.testing.assert_allclose(found / found.mean(), curve, atol=0.12)


def test_steady_sources_stay_steady(candidate_simulator, monkeypatch):
    monkeypatch.setattr(
        splits,
        "draw_light_curves",
        lambda rng, names, edges, weights, flux: np.ones((len(names), len(weights))),
    )
    drawn = candidate_simulator.draw(600, 5)
    stamps = drawn.stamps.select(torch.nonzero(drawn.significance > 5)[:, 0])
    excess, information = stamps.excess.sum(-1), stamps.information.sum(-1)
    # About their own mean, which that of the fit need not be where the image is a little wrong
    chi2 = (excess**2 / information).sum(1) - excess.sum(1) ** 2 / information.sum(1)
    # Nine degrees of freedom
    assert 8.0 < chi2.mean() < 10.0


def test_division_is_that_of_the_expectation(candidate_simulator):
    """Counts of a field without sources are divided by the exposure alone."""
    patches = candidate_simulator.patches.draw(2, 8, 0)
    dark = replace(patches, significance=torch.zeros_like(patches.significance))
    time = SplitTime(dark, torch.zeros(6, 3, 105, 105), np.random.default_rng(1), 5)
    where = [torch.tensor([v, v]) for v in (0, 30, 30)]
    counts, share = time.stamps(3, torch.tensor([0, 1]), *where[1:], 8)
    assert torch.equal(counts.sum(1), dark.batch.counts[3][:, 22:39, 22:39])
    expected = counts.sum().item() * time.share
    assert np.all(np.abs(counts.sum((0, 2, 3)).numpy() - expected) < 5 * np.sqrt(expected) + 5)
    np.testing.assert_allclose(share.sum(1), 1, rtol=1e-6)


def test_files_hold_what_was_drawn(candidates):
    again = bank.from_tensors(bank.to_tensors(candidates))
    assert len(again) == len(candidates)
    torch.testing.assert_close(again.stamps.counts.float(), candidates.stamps.counts)
    torch.testing.assert_close(again.stamps.own.float(), candidates.stamps.own, rtol=1e-3, atol=1e-3)
    full = replace(candidates, stamps=replace(candidates.stamps, counts=candidates.stamps.counts + 4e4))
    assert len(bank.to_tensors(full)["score"]) == 0


def test_classes_of_sources(candidates):
    names = {SOURCE_CLASSES[i] for i in candidates.source_class[candidates.source_class >= 0].tolist()}
    assert {"bll", "fsrq", "psr"} <= names
