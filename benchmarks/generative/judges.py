# Licensed under a 3-clause BSD style license - see LICENSE
"""Judges of generated images: a classifier that tells them from real ones, and the search for copies."""

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

__all__ = ["nearest_ratio", "real_or_generated"]

#: Steps of the training of a classifier, patches in a batch, and its channels: after a minute of training the
#: area no longer grows.
STEPS, BATCH, CHANNELS = 500, 32, (16, 32, 64)
#: Side in pixels of what is compared with real patches: 6 deg, four times the scale of the coarse emission.
CROP = 24


def _classifier():
    layers, before = [], 1
    for channels in CHANNELS:
        layers += [nn.Conv2d(before, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)]
        before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 1))


def real_or_generated(training, test, seed=0):
    """Area under the curve of a classifier of images.

    Parameters
    ----------
    training, test : tuple of `~numpy.ndarray`
        Real and generated images, shape ``(n, size, size)`` each.
    seed : int
        Seed.

    Returns
    -------
    area : float
        0.5 where the test images cannot be told apart.
    """
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = _classifier()
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, STEPS)
    for _ in range(STEPS):
        parts = [images[rng.integers(len(images), size=BATCH // 2)] for images in training]
        batch = np.rot90(np.concatenate(parts), rng.integers(4), (1, 2))
        batch = batch[:, :: rng.choice([-1, 1])].copy()
        logits = network(torch.tensor(batch, dtype=torch.float32)[:, None])[:, 0]
        loss = binary_cross_entropy_with_logits(logits, torch.arange(BATCH).ge(BATCH // 2).float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    network.eval()
    with torch.inference_mode():
        images = torch.tensor(np.concatenate(test), dtype=torch.float32)[:, None]
        scores = torch.cat([network(part)[:, 0] for part in images.split(64)])
    truth = np.repeat([0, 1], [len(images) for images in test])
    return float(roc_auc_score(truth, scores.numpy()))


def _crops(images):
    """Four crops of each image, turned and mirrored in all ways, flattened."""
    corners = (slice(0, CROP), slice(-CROP, None))
    parts = np.concatenate([images[:, rows, columns] for rows in corners for columns in corners])
    turned = [np.rot90(parts, turn, (1, 2)) for turn in range(4)]
    return np.concatenate([*turned, *(part[:, ::-1] for part in turned)]).reshape(-1, CROP**2)


def nearest_ratio(images, known, unknown):
    """Distance of images to the nearest patch of training over that to the nearest one kept out.

    Parameters
    ----------
    images : `~numpy.ndarray`
        Images, shape ``(n, size, size)``.
    known, unknown : `~numpy.ndarray`
        Real patches that trained, and equally many that did not.

    Returns
    -------
    ratio : float
        Median over the images' middles; below one they are copies.
    """
    first = (images.shape[-1] - CROP) // 2
    middles = torch.tensor(images[:, first : first + CROP, first : first + CROP].reshape(len(images), -1))
    nearest = [torch.cdist(middles, torch.tensor(_crops(part).copy())).amin(1) for part in (known, unknown)]
    return float((nearest[0] / nearest[1]).median())
