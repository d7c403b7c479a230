# Licensed under a 3-clause BSD style license - see LICENSE
"""Programs that find the pixels of cosmic rays: astroscrappy, lacosmic, Cosmic-CoNN, deepCR.

Each takes a `~benchmarks.optical.cosmic_ray_frames.Frame` and returns masks, bool of shape ``(k, ny, nx)``,
one for each of its thresholds, in an order that is the same for every frame. They are imported when they are
called: each is an extra of its own. deepCR 0.3.1 does not install with a new setuptools: unpack it and add it
to PYTHONPATH.
"""

import contextlib
import io
import itertools
import sys
import types
import warnings

import numpy as np

__all__ = ["LOGITS", "PEERS", "above", "default_mask"]

#: Thresholds of programs that give a probability, in its logit.
LOGITS = np.linspace(-14, 14, 141)
#: Thresholds of Laplacian edges in units of the noise, of their contrast against fine structure, and of
#: neighbours as a share of the first: 4.5, 5 and 0.3 are what astroscrappy has by default.
SIGNIFICANCE = (1, 2, 3, 4.5, 6, 9)
CONTRAST = (2, 5)
NEIGHBOURS = (0.1, 0.3)
#: Thresholds of lacosmic, which takes minutes where they are low.
FEW = (3, 4.5)


def above(probability):
    """Masks of a map of probabilities above each of `LOGITS`."""
    probability = np.clip(probability.astype(float), 1e-9, 1 - 1e-9)
    logit = np.log(probability / (1 - probability))
    return logit > LOGITS[:, None, None]


def _given(frame):
    """What astroscrappy is told of the camera, or the variance where pixels have had different gains."""
    gain = frame.gain or 1.0
    given = {"gain": gain, "readnoise": frame.sky_noise * gain, "satlevel": np.inf}
    return given if frame.gain else given | {"invar": frame.noise.astype(np.float32) ** 2}


def astroscrappy_masks(frame):
    """astroscrappy (van Dokkum 2001 in C) with six thresholds, two contrasts and two for neighbours."""
    import astroscrappy

    given = _given(frame)
    masks = []
    for clip, contrast, share in itertools.product(SIGNIFICANCE, CONTRAST, NEIGHBOURS):
        mask, _ = astroscrappy.detect_cosmics(
            frame.data.astype(np.float32), sigclip=clip, objlim=contrast, sigfrac=share, **given
        )
        masks.append(mask)
    return np.array(masks)


def lacosmic_masks(frame):
    """lacosmic (van Dokkum 2001 in Python) with two thresholds, a contrast of 5 and 0.3 for neighbours."""
    import lacosmic

    masks = []
    for clip in FEW:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            _, mask = lacosmic.remove_cosmics(frame.data, CONTRAST[-1], clip, 0.3, error=frame.noise)
        masks.append(mask)
    return np.array(masks)


def _images(frame):
    """Scales to choose from, all with a level of the sky, which is what the networks have learnt.

    The level is that with the Poisson noise of the image. Which form suits a network best is decided by its
    result here. "7 a noise and 50" are the numbers of an image of HST's ACS in electrons.
    """
    gain = frame.gain or 50 / frame.sky_noise
    electrons = frame.data * gain
    return {
        "electrons and sky": electrons + (frame.sky_noise * gain) ** 2,
        "7 a noise and 50": frame.data / frame.sky_noise * 7 + 50,
    }


def cosmic_conn_masks(frame, weights, form):
    """Cosmic-CoNN (Xu et al. 2023) with its weights for ground-based imaging or for HST."""
    from cosmic_conn import init_model

    if weights not in _LOADED:
        with contextlib.redirect_stdout(io.StringIO()):
            _LOADED[weights] = init_model(weights)
    return above(_LOADED[weights].detect_cr(_images(frame)[form].astype(np.float32), ret_numpy=True))


def deepcr_masks(frame, weights, form):
    """deepCR (Zhang & Bloom 2020) with its weights for DECam or for HST's ACS."""
    # It imports its training, and that the board of tensors, which nothing here needs
    sys.modules.setdefault("torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=None))
    from deepCR import deepCR

    if weights not in _LOADED:
        _LOADED[weights] = deepCR(mask=weights, device="CPU")
    probability = _LOADED[weights].clean(_images(frame)[form], binary=False, segment=False)
    return above(np.asarray(probability))


#: Networks that were read, by the name of their weights.
_LOADED = {}

#: Programs by name; networks with each form of the image.
PEERS = {"astroscrappy": {"": astroscrappy_masks}, "lacosmic": {"": lacosmic_masks}}
FORMS = ("electrons and sky", "7 a noise and 50")
for _name, _function, _weights in (
    ("Cosmic-CoNN ground", cosmic_conn_masks, "ground_imaging"),
    ("Cosmic-CoNN HST", cosmic_conn_masks, "HST_ACS_WFC"),
    ("deepCR DECam", deepcr_masks, "decam"),
    ("deepCR ACS", deepcr_masks, "ACS-WFC"),
):
    PEERS[_name] = {
        form: lambda frame, function=_function, weights=_weights, form=form: function(frame, weights, form)
        for form in FORMS
    }


def default_mask(frame, name):
    """Mask of a program as it is used by default: astroscrappy, or Cosmic-CoNN on the ground at a probability
    of .5."""
    if name == "Cosmic-CoNN":
        return cosmic_conn_masks(frame, "ground_imaging", FORMS[0])[np.argmin(np.abs(LOGITS))]
    import astroscrappy

    return astroscrappy.detect_cosmics(frame.data.astype(np.float32), **_given(frame))[0]
