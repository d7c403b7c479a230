# Licensed under a 3-clause BSD style license - see LICENSE
"""What a decision rests on: which energies, which years, which pixels, which features."""

import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from captum.attr import FeatureAblation, IntegratedGradients

__all__ = ["Explanation", "explain"]

#: Sources that are explained at once, and that a network sees at once: each step of the integral is one more.
AT_ONCE, SEEN_AT_ONCE = 32, 128

#: Share of the difference of the logits that attributions may miss without a word: a picture shows no less.
INCOMPLETE = 0.05


@dataclass(frozen=True)
class Explanation:
    """What the parts of the inputs of a network add to the logit of a class.

    Parameters
    ----------
    attributions : dict of str to `~numpy.ndarray`
        For each input that is explained, what each of its numbers adds; of the shape of the input.
    difference : `~numpy.ndarray`
        Logit of the inputs less that of the baselines, shape ``(n,)``.
    """

    attributions: dict
    difference: np.ndarray

    @property
    def missing(self):
        """What the attributions lack of the difference, shape ``(n,)``; 0 where they explain all of it.

        Those of occlusion need not add up: what either of two parts tells alone, neither adds.
        """
        parts = (own.reshape(len(own), -1).sum(axis=1) for own in self.attributions.values())
        return self.difference - sum(parts)

    def bands_and_years(self, name, bands):
        """What each band adds in each year.

        Parameters
        ----------
        name : str
            Input of shape ``(n, n_channels, n_years, ...)``.
        bands : array-like of int
            Band of each channel, shape ``(n_channels,)``: channels of one band are added.

        Returns
        -------
        shares : `~numpy.ndarray`
            Shape ``(n, n_bands, n_years)``.
        """
        own = self.attributions[name]
        own = own.reshape(*own.shape[:3], -1).sum(axis=3)
        bands = _checked_bands(bands, own.shape[1])
        return np.stack([own[:, bands == band].sum(axis=1) for band in range(bands.max() + 1)], axis=1)

    def pixels(self, name):
        """What each pixel adds, in all channels and years.

        Parameters
        ----------
        name : str
            Input of shape ``(n, ..., height, width)``.

        Returns
        -------
        shares : `~numpy.ndarray`
            Shape ``(n, height, width)``.
        """
        own = self.attributions[name]
        return own.reshape(len(own), -1, *own.shape[-2:]).sum(axis=1)


def explain(network, inputs, target, baselines, method="gradients", bands=None, n_steps=64):
    """What each part of the inputs adds to the logit of a class.

    Parameters
    ----------
    network : callable
        Called with the inputs by name, gives logits of shape ``(n, n_classes)``; a `~torch.nn.Module` in the
        mode of evaluation.
    inputs : dict of str to `~torch.Tensor`
        Inputs of ``n`` sources, where the network is.
    target : int or array-like of int
        Class, one for all or one for each source.
    baselines : dict of str to `~torch.Tensor` or float
        What each input that is to be explained would be without a source, such as its background, or 0 for an
        excess. Inputs that are not named here stay as they are.
    method : {"gradients", "occlusion"}
        Integrated gradients (Sundararajan et al. 2017, ICML), which add up to the difference of the logits;
        or what the logit loses where one part of the inputs is replaced by its baseline.
    bands : dict of str to array-like of int, optional
        For occlusion: band of each channel of inputs of shape ``(n, n_channels, n_years, ...)``, whose parts
        are one band in one year. Of other inputs each number or channel is a part.
    n_steps : int
        Steps of the integral of the gradients.

    Returns
    -------
    explanation : `Explanation`
        What each part adds. Where gradients do not add up, there is a warning.

    Raises
    ------
    ValueError
        If the network is in the mode of training, a baseline is of no input, or the method is another one.
    """
    _check(network, inputs, baselines, method)
    # Numbers stand for tensors of the shape of the input
    baselines = {
        name: torch.as_tensor(value).to(inputs[name]).expand_as(inputs[name])
        for name, value in baselines.items()
    }
    first = next(iter(inputs.values()))
    target = torch.as_tensor(target, device=first.device).expand(len(first))
    attribute = {
        "gradients": partial(_gradients, n_steps=n_steps),
        "occlusion": partial(_occlusion, bands=bands),
    }
    parts, difference = [], []
    for start in range(0, len(first), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        own, base = ({name: v[rows] for name, v in values.items()} for values in (inputs, baselines))
        parts.append(attribute[method](network, own, target[rows], base))
        with torch.no_grad():
            logits = network(**own) - network(**(own | base))
        difference.append(logits.gather(1, target[rows, None])[:, 0].cpu().numpy())
    attributions = {name: np.concatenate([part[name] for part in parts]) for name in baselines}
    explanation = Explanation(attributions, np.concatenate(difference))
    if method == "gradients":
        _check_complete(explanation)
    return explanation


def _check(network, inputs, baselines, method):
    if getattr(network, "training", False):
        raise ValueError("The network is in the mode of training: call its eval() first")
    unknown = sorted(set(baselines) - set(inputs))
    if unknown or not baselines:
        raise ValueError(
            f"Give the baseline of at least one of the inputs {', '.join(inputs)}, and of no other; "
            f"got {', '.join(baselines) or 'none'}"
        )
    if method not in ("gradients", "occlusion"):
        raise ValueError(f"The method is gradients or occlusion, got {method!r}")


def _checked_bands(bands, n_channels):
    bands = np.asarray(bands)
    if bands.shape != (n_channels,):
        raise ValueError(f"{n_channels} channels need a band each, got bands of shape {bands.shape}")
    return bands


def _gradients(network, inputs, target, baselines, n_steps):
    """Integrated gradients of each input, by name."""
    steps = {"n_steps": n_steps, "internal_batch_size": SEEN_AT_ONCE}
    return _attribute(IntegratedGradients, network, inputs, target, baselines, **steps)


def _occlusion(network, inputs, target, baselines, bands):
    """What the logit loses without each part, spread evenly over the numbers of the part."""
    masks, n_parts = {}, 0
    for name in baselines:
        masks[name] = _parts(inputs[name].shape[1:], (bands or {}).get(name))[None] + n_parts
        n_parts = int(masks[name].max()) + 1
    on_device = tuple(mask.to(inputs[name].device) for name, mask in masks.items())
    lost = _attribute(FeatureAblation, network, inputs, target, baselines, feature_mask=on_device)
    size = np.bincount(np.concatenate([mask.numpy().ravel() for mask in masks.values()]))
    return {name: own / size[masks[name].numpy()] for name, own in lost.items()}


def _parts(shape, bands):
    """Number of the part that each number of an input belongs to."""
    if bands is None:
        parts = torch.arange(int(np.prod(shape[:1]))).reshape(shape[:1])
    else:
        parts = torch.as_tensor(_checked_bands(bands, shape[0]))[:, None] * shape[1] + torch.arange(shape[1])
    return parts.reshape((*parts.shape, *[1] * (len(shape) - parts.ndim))).expand(shape)


def _attribute(method, network, inputs, target, baselines, **kwargs):
    """Attributions of a method of captum, which takes tuples where we have names."""
    others = [name for name in inputs if name not in baselines]
    names = [*baselines, *others]

    def forward(*tensors):
        return network(**dict(zip(names, tensors, strict=True)))

    shares = method(forward).attribute(
        tuple(inputs[name] for name in baselines),
        baselines=tuple(baselines.values()),
        target=target,
        additional_forward_args=tuple(inputs[name] for name in others),
        **kwargs,
    )
    return {name: own.detach().cpu().numpy() for name, own in zip(baselines, shares, strict=True)}


def _check_complete(explanation):
    """Warn where the attributions do not add up to the difference of the logits."""
    missing = np.abs(explanation.missing)
    lacking = missing > INCOMPLETE * np.maximum(np.abs(explanation.difference), 1)
    if lacking.any():
        warnings.warn(
            f"The attributions of {lacking.sum()} of {len(lacking)} sources miss more than {INCOMPLETE:.0%} "
            f"of the difference of the logits, the worst {missing.max():.2g}: take more steps (n_steps)",
            stacklevel=3,
        )
