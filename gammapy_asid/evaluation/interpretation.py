# Licensed under a 3-clause BSD style license - see LICENSE
"""Looking inside a classifier of stamps: what its layers see, and what a decision rests on.

A model has a ``device``, a ``network`` with ``blocks``, and gives its ``last_layer``.
"""

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradientXActivation
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from .explanation import explain

__all__ = ["activation_maps", "attributions", "class_activation_maps", "embed"]


@torch.inference_mode()
def activation_maps(model, stamps):
    """Mean activation of every block of the network.

    Parameters
    ----------
    model : `~gammapy_asid.learning.trained.TrainedModel`
        Classifier of stamps.
    stamps : `~gammapy_asid.inputs.stamps.Stamps`
        Stamps.

    Returns
    -------
    maps : list of `~numpy.ndarray`
        One of each block, shape ``(n, n_channels, side, side)``, on pixels that double from block to block.
    """
    outputs = []
    hooks = [
        block.register_forward_hook(lambda _module, _inputs, output: outputs.append(output.cpu().numpy()))
        for block in model.network.blocks
    ]
    try:
        model.network(*(v.to(model.device) for v in stamps.tensors))
    finally:
        for hook in hooks:
            hook.remove()
    return outputs


def class_activation_maps(model, stamps, target, block=-1):
    """Where a block sees evidence for a class.

    Gradient times activation at each place, added over the channels (HiResCAM, Draelos & Carin 2020,
    arXiv:2011.08891): in this network what a channel means depends on the place, and Grad-CAM, which averages
    the gradients over all places, points elsewhere.

    Parameters
    ----------
    model : `~gammapy_asid.learning.trained.TrainedModel`
        Classifier of stamps.
    stamps : `~gammapy_asid.inputs.stamps.Stamps`
        Stamps.
    target : int or `~numpy.ndarray`
        Class, one for all or one for each stamp.
    block : int
        Block of the network.

    Returns
    -------
    maps : `~numpy.ndarray`
        Non-negative, on the pixels of the stamps, shape ``(n, size, size)``.
    """
    method = LayerGradientXActivation(model.network, model.network.blocks[block])
    maps = method.attribute(tuple(v.to(model.device) for v in stamps.tensors), target=_target(target))
    maps = torch.relu(maps.sum(dim=1, keepdim=True))
    size = stamps.counts.shape[-1]
    return LayerAttribution.interpolate(maps, (size, size), "bilinear")[:, 0].detach().cpu().numpy()


def attributions(model, stamps, target, n_steps=64):
    """What the counts of each pixel and band add to the logit of a class.

    Integrated gradients, see `~gammapy_asid.evaluation.explanation.explain`, from counts that equal the
    background: a sky without the source.

    Parameters
    ----------
    model, stamps, target
        See `class_activation_maps`.
    n_steps : int
        Steps of the integral.

    Returns
    -------
    maps : `~numpy.ndarray`
        Shape ``(n, n_bands, size, size)``; they add up to the difference of the logits.
    """
    names = ("counts", "background", "valid", "psf")
    inputs = {name: v.to(model.device) for name, v in zip(names, stamps.tensors, strict=True)}

    def network(**own):
        return model.network(*(own[name] for name in names))

    explanation = explain(network, inputs, target, {"counts": inputs["background"]}, n_steps=n_steps)
    return explanation.attributions["counts"]


def embed(model, stamps, method="pca", seed=0):
    """Last hidden layer in two dimensions.

    Parameters
    ----------
    model : `~gammapy_asid.learning.trained.TrainedModel`
        Classifier of stamps.
    stamps : `~gammapy_asid.inputs.stamps.Stamps`
        Stamps, at least four.
    method : {"pca", "tsne"}
        Principal components, or t-SNE (van der Maaten & Hinton 2008, JMLR 9, 2579).
    seed : int
        Seed of t-SNE.

    Returns
    -------
    points : `~numpy.ndarray`
        Shape ``(n, 2)``.
    """
    hidden = model.last_layer(stamps).numpy()
    if method == "pca":
        return PCA(2, random_state=seed).fit_transform(hidden)
    if method == "tsne":
        perplexity = min(30.0, (len(hidden) - 1) / 3)
        return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(hidden)
    raise ValueError(f"The method is pca or tsne, got {method!r}")


def _target(target):
    return int(target) if np.ndim(target) == 0 else torch.as_tensor(target)
