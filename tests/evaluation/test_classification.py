# Licensed under a 3-clause BSD style license - see LICENSE
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn import metrics

from gammapy_asid.display.style import class_style
from gammapy_asid.evaluation.classification import (
    accuracy_in_bins,
    balanced_accuracy,
    balanced_choice,
    class_calibration_error,
    confusion,
)
from gammapy_asid.evaluation.classification_plots import (
    plot_accuracy,
    plot_activations,
    plot_class_activation,
    plot_class_reliability,
    plot_confusion,
    plot_embedding,
    plot_one_against_rest,
)
from gammapy_asid.evaluation.interpretation import activation_maps, attributions, class_activation_maps, embed
from gammapy_asid.evaluation.measurement_plots import plot_size_recovery
from gammapy_asid.inputs.stamps import Stamps
from gammapy_asid.learning.score_calibration import expected_calibration_error
from gammapy_asid.tasks.extension.network import ExtensionConfig, ExtensionNetwork
from gammapy_asid.tasks.extension.truth import ExtensionTruth

SIZE = 48


class Model:
    """What of a loaded model is needed to look inside."""

    def __init__(self):
        torch.manual_seed(1)
        self.network = ExtensionNetwork(ExtensionConfig(2, 3, SIZE, (4, 6, 6, 8), 12)).eval()
        self.device = torch.device("cpu")

    @torch.inference_mode()
    def last_layer(self, stamps):
        return self.network.last_layer(*stamps.tensors)


@pytest.fixture(scope="module")
def model():
    return Model()


@pytest.fixture(scope="module")
def stamps():
    generator = torch.Generator().manual_seed(2)
    background = torch.full((12, 2, SIZE, SIZE), 3.0)
    counts = torch.poisson(background, generator=generator)
    counts[::2, :, 20:28, 20:28] += 20
    psf = torch.tensor([[0.5, 0.5], [0.0, 0.4]]).expand(12, 2, 2)
    return Stamps(counts, background, torch.ones(12, SIZE, SIZE), psf)


def test_activation_maps(model, stamps):
    maps = activation_maps(model, stamps)
    assert [m.shape for m in maps] == [(12, 4, 48, 48), (12, 6, 24, 24), (12, 6, 12, 12), (12, 8, 6, 6)]
    assert all((m >= 0).all() for m in maps)
    # The hooks are gone.
    assert not any(block._forward_hooks for block in model.network.blocks)


def test_class_activation_maps(model, stamps):
    maps = class_activation_maps(model, stamps, 1)
    assert maps.shape == (12, SIZE, SIZE)
    assert np.isfinite(maps).all() and (maps >= 0).all()
    each = class_activation_maps(model, stamps, np.arange(12) % 3)
    assert_allclose(each[1], maps[1], rtol=1e-5)
    assert not np.allclose(each[0], maps[0])


def test_attributions_add_up(model, stamps):
    shares = attributions(model, stamps[:2], 2, n_steps=256)
    assert shares.shape == (2, 2, SIZE, SIZE)
    counts, *others = stamps[:2].tensors
    with torch.inference_mode():
        difference = (model.network(counts, *others) - model.network(others[0], *others))[:, 2].numpy()
    assert_allclose(shares.sum((1, 2, 3)), difference, atol=0.05 * np.abs(difference).max())


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_embedding(model, stamps, method):
    points = embed(model, stamps, method)
    assert points.shape == (12, 2)
    assert_allclose(points, embed(model, stamps, method))
    # Stamps with and without a source lie apart.
    with_source, without = points[::2].mean(0), points[1::2].mean(0)
    assert np.linalg.norm(with_source - without) > 0
    with pytest.raises(ValueError, match="pca or tsne"):
        embed(model, stamps, "umap")


def test_figures_of_merit():
    true = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    called = np.array([0, 0, 0, 1, 1, 1, 2, 0])
    assert_allclose(confusion(true, called, 3), [[0.75, 0.25, 0], [0, 1, 0], [0.5, 0, 0.5]])
    assert np.isnan(confusion(true[:4], called[:4], 3)[1:]).all()
    accuracy, error = balanced_accuracy(true, called)
    assert accuracy == pytest.approx(0.75)
    assert error == pytest.approx(np.sqrt(0.75 * 0.25 / 4 + 0.25 / 2) / 3)
    share, _, number = accuracy_in_bins(true, called, np.arange(8.0), [0, 4, 8, 9])
    assert_allclose(share[:2], [0.75, 0.75])
    assert np.isnan(share[2])
    assert list(number) == [4, 4, 0]


def test_choice_of_rare_classes():
    probability = np.array([[0.6, 0.4], [0.9, 0.1]])
    assert list(balanced_choice(probability, [0.8, 0.2])) == [1, 0]


def test_class_calibration_error():
    rng = np.random.default_rng(0)
    probability = rng.dirichlet([1, 1, 1], 20000)
    true = (rng.random(20000)[:, None] > probability.cumsum(axis=1)).sum(axis=1)
    assert class_calibration_error(probability, true) < 0.01
    sharper = probability**2 / (probability**2).sum(axis=1, keepdims=True)
    assert class_calibration_error(sharper, true) > 0.03


def test_true_classes():
    truth = ExtensionTruth(np.array([0, 0.1, 0.25, 2]), np.ones(4), np.ones(4))
    assert list(truth.classes((0.1, 0.3))) == [0, 1, 1, 2]


def test_plots(model, stamps):
    rng = np.random.default_rng(0)
    size = rng.uniform(0.03, 1, 50)
    true, called = np.digitize(size, (0.1, 0.3)), rng.integers(3, size=50)
    ax = plot_confusion(confusion(true, called, 3), ["C0", "C1", "C2"], plt.subplots()[1])
    assert len(ax.texts) == 9
    ax = plot_accuracy(true, called, size, np.geomspace(0.03, 1, 6), plt.subplots()[1])
    assert ax.get_xscale() == "log"
    quantiles = np.column_stack([0.9 * size, size, 1.1 * size])
    ax = plot_size_recovery(size, quantiles, plt.subplots()[1], edges=(0.1, 0.3))
    assert len(ax.lines) >= 5
    points = embed(model, stamps)
    names = np.array(["C0", "C1"])[np.arange(12) % 2]
    ax = plot_embedding(points, names, plt.subplots()[1], "class")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["C0 (6)", "C1 (6)"]
    ax = plot_embedding(points, np.arange(12.0), plt.subplots()[1], "size")
    assert len(ax.figure.axes) == 2
    figure = plot_activations(activation_maps(model, stamps), 0, 3)
    assert len(figure.axes) == 12
    maps = class_activation_maps(model, stamps, 1)
    assert plot_class_activation(stamps.counts[0, 0].numpy(), maps[0], plt.subplots()[1]).images
    plt.close("all")


def test_numbers_of_sources_are_stated():
    true, called = np.repeat([0, 1], [30, 4]), np.repeat([0, 1], [28, 6])
    number = np.bincount(true, minlength=3)
    ax = plot_confusion(confusion(true, called, 3), ["AGN", "PSR", "FAKE"], plt.subplots()[1], number)
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        "AGN\n(30 sources)",
        "PSR\n(4 sources)",
        "FAKE\n(0 sources)",
    ]
    # Wilson: (28 + 0.49) / (30 + 0.99) with 0.047 to both sides
    assert ax.texts[0].get_text() == ".933\n[.873, .966]"
    assert ax.texts[8].get_text() == "-"
    plt.close("all")


@pytest.fixture(scope="module")
def told_apart():
    rng = np.random.default_rng(3)
    probability = rng.dirichlet([1, 0.6, 0.4], 300)
    true = (rng.random(300)[:, None] > probability.cumsum(axis=1)[:, :-1]).sum(axis=1)
    probability[:5] = np.nan
    return np.array(["AGN", "PSR", "PWN-SNR"])[true], probability, ["AGN", "PSR", "PWN-SNR"]


def test_plot_one_against_rest(told_apart):
    true, probability, names = told_apart
    figure = plot_one_against_rest(true, probability, names, n_resamples=50)
    roc, precise = figure.axes
    assert roc.get_title() == "295 sources"
    is_psr, own = true[5:] == "PSR", probability[5:, 1]
    line = next(line for line in roc.lines if line.get_label().startswith("PSR"))
    assert line.get_label().startswith(f"PSR ({is_psr.sum()}): {metrics.roc_auc_score(is_psr, own):.3f}"[:8])
    wrong, right, _ = metrics.roc_curve(is_psr, own, drop_intermediate=False)
    assert_allclose(line.get_ydata(), np.interp(line.get_xdata(), wrong, right), atol=1e-5)
    pure, recall, _ = metrics.precision_recall_curve(is_psr, own)
    line = next(line for line in precise.lines if line.get_label().startswith("PSR"))
    # At a quarter of the recall: the highest threshold that reaches it
    at = np.flatnonzero(recall >= 0.25)[-1]
    assert np.interp(0.25, line.get_xdata(), line.get_ydata()) == pytest.approx(pure[at], abs=1e-5)
    colours = {line.get_label()[:3]: line.get_color() for line in roc.lines}
    assert colours["AGN"] != colours["PSR"]
    figure.canvas.draw()


def test_plot_class_reliability(told_apart):
    figure = plot_class_reliability(*told_apart)
    number = (told_apart[0][5:] == "AGN").sum()
    assert figure.axes[0].get_title() == f"AGN: {number} of 295 sources"
    text = figure.axes[0].get_legend().get_texts()[0].get_text()
    error = expected_calibration_error(told_apart[1][5:, 0], told_apart[0][5:] == "AGN")
    assert text.startswith(f"calibration error {error:.3f}\n(")
    figure.canvas.draw()


def test_classes_of_sources_look_the_same_in_all_pictures():
    styles = class_style(["C0", "FSRQ", "C1", "AGN"])
    assert styles["AGN"] == class_style(["AGN"])["AGN"] and styles["FSRQ"] == class_style(["FSRQ"])["FSRQ"]
    assert len({style["color"] for style in styles.values()}) == 4
    assert len(class_style([f"C{i}" for i in range(20)])) == 20
