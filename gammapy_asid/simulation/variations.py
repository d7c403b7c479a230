# Licensed under a 3-clause BSD style license - see LICENSE
"""Random interstellar emission, and predictions of it that are wrong in random ways."""

import numpy as np
import torch
import torch.nn.functional as F

__all__ = ["generators", "patch_axes", "patch_grid", "random_emission", "random_structure", "sample_emission"]

# A prediction of the emission is off by up to this much, about what models of the Galaxy differ by: in its
# level, in a tilt from the middle to the ends of the energies, and on small scales. Truth and prediction
# share as much structure as SHARED. With a power above one good predictions are more frequent than bad ones.
LEVEL_ERROR, TILT, STRUCTURE_ERROR, SHARED, GOODNESS = 0.2, 0.1, 0.15, 0.1, 1.3


def generators(seed, device="cpu"):
    """Random numbers of NumPy and of torch from one seed.

    Parameters
    ----------
    seed : int or sequence of int
        Equal seeds give equal numbers on the same kind of device.
    device : str or `~torch.device`
        Where the numbers of torch are drawn.

    Returns
    -------
    rng : `~numpy.random.Generator`
        Of NumPy.
    generator : `~torch.Generator`
        Of torch.
    """
    rng = np.random.default_rng(seed)
    return rng, torch.Generator(device).manual_seed(int(rng.integers(2**62)))


def patch_grid(centres, roll, width, n):
    """Directions of a square grid around patch centres, gnomonic.

    Parameters
    ----------
    centres : `~torch.Tensor`
        Galactic longitude and latitude in rad, shape ``(n_patches, 2)``.
    roll : `~torch.Tensor`
        Angle of each patch in rad, shape ``(n_patches,)``.
    width : `~torch.Tensor`
        Width of each patch in deg, shape ``(n_patches,)``.
    n : int
        Number of grid points along a side: centres of ``n`` equal pixels.

    Returns
    -------
    vectors : `~torch.Tensor`
        Unit vectors, shape ``(n_patches, n, n, 3)``.
    """
    step = (torch.arange(n, device=centres.device) + 0.5) / n - 0.5
    offset = torch.deg2rad(width)[:, None] * step
    centre, axis_x, axis_y = patch_axes(centres, roll)
    vectors = (
        centre[:, None, None]
        + offset[:, None, :, None] * axis_x[:, None, None]
        + offset[:, :, None, None] * axis_y[:, None, None]
    )
    return F.normalize(vectors, dim=-1)


def patch_axes(centres, roll):
    """Unit vectors to the centre and along x and y of each patch.

    Parameters
    ----------
    centres, roll
        See `patch_grid`.

    Returns
    -------
    centre, axis_x, axis_y : `~torch.Tensor`
        Shape ``(n_patches, 3)``.
    """
    lon, lat = centres.unbind(-1)
    zero = torch.zeros_like(lon)
    centre = torch.stack([lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()], -1)
    east = torch.stack([-lon.sin(), lon.cos(), zero], -1)
    north = torch.linalg.cross(centre, east)
    cos, sin = roll.cos()[:, None], roll.sin()[:, None]
    return centre, cos * east + sin * north, cos * north - sin * east


def sample_emission(bank, vectors):
    """Intensity of every emission model at directions.

    Parameters
    ----------
    bank : `~torch.Tensor`
        Intensities of an `~gammapy_asid.simulation.EmissionBank`, shape
        ``(n_models, n_intervals, n_lat, n_lon)``.
    vectors : `~torch.Tensor`
        Galactic unit vectors, shape ``(n_patches, gy, gx, 3)``.

    Returns
    -------
    intensity : `~torch.Tensor`
        Shape ``(n_patches, n_models, n_intervals, gy, gx)``.
    """
    n, gy, gx, _ = vectors.shape
    lon = torch.atan2(vectors[..., 1], vectors[..., 0])
    lat = torch.asin(vectors[..., 2].clamp(-1, 1))
    grid = torch.stack([-lon / torch.pi, 2 * lat / torch.pi], -1).view(1, n * gy, gx, 2)
    flat = bank.flatten(0, 1)[None]
    sampled = F.grid_sample(flat, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return sampled.view(*bank.shape[:2], n, gy, gx).permute(2, 0, 1, 3, 4)


def random_structure(n, size, generator, slope=2.5):
    """Gaussian random images with a power law as power spectrum and unit variance.

    Parameters
    ----------
    n, size : int
        Number of images and their side in pixels.
    generator : `~torch.Generator`
        Source of randomness.
    slope : float
        The power falls as ``k**-slope``; by default nearly as that of interstellar gas.

    Returns
    -------
    images : `~torch.Tensor`
        Shape ``(n, size, size)``, on the device of the generator.
    """
    device = generator.device
    ky, kx = torch.fft.fftfreq(2 * size, device=device), torch.fft.rfftfreq(2 * size, device=device)
    power = (ky[:, None] ** 2 + kx**2).clamp(min=(0.5 / size) ** 2) ** (-slope / 4)
    power[0, 0] = 0
    white = torch.randn(n, 2 * size, 2 * size, generator=generator, device=device)
    field = torch.fft.irfft2(torch.fft.rfft2(white) * power)[:, :size, :size]
    return field / field.std((1, 2), keepdim=True)


def random_emission(models, generator):
    """Emission that makes the counts, and a prediction that differs from it.

    The truth is one model or a mixture, modulated on small scales. The prediction is
    off by a patch's own amount, from almost nothing to another mixture, 20 % in
    normalisation, a spectral tilt and 15 % on small scales.

    Parameters
    ----------
    models : `~torch.Tensor`
        Intensity of every model, shape ``(n_patches, n_models, n_intervals, gy, gx)``.
    generator : `~torch.Generator`
        Source of randomness.

    Returns
    -------
    truth, prediction : `~torch.Tensor`
        Intensity, shape ``(n_patches, n_intervals, gy, gx)``.
    """
    n, n_models, n_intervals, size, _ = models.shape
    there = {"generator": generator, "device": models.device}
    uniform, normal = torch.rand(n, 6, **there), torch.randn(n, 3, **there)

    def mixture():
        logits = torch.randn(n, n_models, **there)
        sharp = 1 + 9 * (torch.rand(n, 1, **there) < 0.5)
        return torch.softmax(2 * logits * sharp, 1)

    own = mixture()
    error = uniform[:, :1] ** GOODNESS
    other = (1 - error) * own + error * mixture()
    truth = torch.einsum("pm,pmiyx->piyx", own, models)
    prediction = torch.einsum("pm,pmiyx->piyx", other, models)
    structure = random_structure(2 * n, size, generator).view(2, n, 1, size, size)
    strength = SHARED * uniform[:, 1, None, None, None]
    truth = truth * torch.exp(strength * structure[0])
    # The tilt pivots at the middle of the intervals.
    tilt = torch.linspace(-1, 1, n_intervals, device=models.device) * normal[:, 1:2]
    log_error = (error * (LEVEL_ERROR * normal[:, :1] + TILT * tilt))[:, :, None, None]
    small = STRUCTURE_ERROR * (error[:, 0] * uniform[:, 2])[:, None, None, None] * structure[1]
    # What modulates the truth is in the prediction as far as the prediction is good.
    shared = torch.exp(strength * structure[0] * (1 - error)[:, :, None, None])
    return truth, prediction * shared * torch.exp(log_error + small)
