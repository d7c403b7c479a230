# Licensed under a 3-clause BSD style license - see LICENSE
"""The judges of generated emission know what is right and what is wrong."""

import numpy as np
import pytest

from gammapy_asid.evaluation.random_fields import spectrum_ratio

emission = pytest.importorskip("benchmarks.generative.emission")
judges = pytest.importorskip("benchmarks.generative.judges")
peer = pytest.importorskip("benchmarks.generative.peer")


@pytest.fixture(scope="module")
def smooth():
    """Images with a steep spectrum like that of the sky."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(96), np.fft.fftfreq(96)))
    white = np.fft.fft2(rng.normal(size=(300, 96, 96)))
    images = np.fft.ifft2(white * (frequency + 0.03) ** -2).real[:, :48, :48]
    return (images / images.std()).astype(np.float32)


def test_peer_has_equal_power(smooth):
    drawn = peer.gaussian_images(smooth, 300, np.random.default_rng(1))
    assert drawn.shape == smooth.shape
    np.testing.assert_allclose(spectrum_ratio(drawn, smooth, 0.25)[1:], 1, atol=0.15)


def test_figures_of_equal_and_of_other_images(smooth):
    latitude = np.linspace(-60, 60, 150)
    same = emission.figures(smooth[:150], smooth[150:], latitude)
    assert same["histogram"] < 0.05
    assert max(same[name] for name in emission.FUNCTIONALS) < 0.5
    np.testing.assert_allclose(same["power, all"], 1, atol=5 * max(same["power, standard error"]))
    other = emission.figures(smooth[:150] ** 3, smooth[150:], latitude)
    assert other["histogram"] > 0.1
    assert other["boundary"] > 1


def test_classifier(smooth, monkeypatch):
    monkeypatch.setattr(judges, "STEPS", 25)
    crops = smooth[:, :16, :16]
    parts = crops[:100], crops[100:200] ** 3
    assert judges.real_or_generated(parts, (crops[200:250], crops[250:] ** 3)) > 0.9


def test_copies_are_found(smooth):
    known, unknown = smooth[:40], smooth[40:80]
    assert judges.nearest_ratio(smooth[80:110], known, unknown) == pytest.approx(1, abs=0.05)
    # A turned corner of a patch that trained
    shifted = np.zeros_like(known)
    shifted[:, 12:36, 12:36] = np.rot90(known[:, :24, :24], 1, (1, 2))
    assert judges.nearest_ratio(shifted, known, unknown) < 0.01
