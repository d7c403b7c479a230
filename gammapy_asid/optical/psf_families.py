# Licensed under a 3-clause BSD style license - see LICENSE
"""Point spread functions of many cameras, drawn at random: seeing, optics, tracking."""

import numpy as np
import torch

from .batch import OVERSAMPLING

__all__ = ["WIDE_HALF", "draw_psfs", "misjudged"]

#: Pixels on either side of the centre of a drawn point spread function, for the wings of bright stars.
WIDE_HALF = 32

#: Samples along a side of the pupil plane; its transform has `OVERSAMPLING` samples a pixel.
PUPIL = 2 * WIDE_HALF * OVERSAMPLING

#: Shares of the families: seeing (Moffat), seeing with asymmetric optics, and optics alone (diffraction).
SHARES = (0.5, 0.2, 0.3)


def _grid():
    """Offsets of the samples in pixels, shape ``(m, m)`` each, with the centre in the middle."""
    half = WIDE_HALF * OVERSAMPLING
    axis = torch.arange(-half, half + 1) / OVERSAMPLING
    return torch.meshgrid(axis, axis, indexing="ij")


def _moffat(fwhm, beta, e1, e2):
    """Moffat profiles (Moffat 1969, A&A 3, 455) of elliptical shape, shape ``(n, m, m)``."""
    y, x = _grid()
    fwhm, beta, e1, e2 = (v[:, None, None].float() for v in (fwhm, beta, e1, e2))
    alpha2 = fwhm**2 / (4 * (2 ** (1 / beta) - 1))
    r2 = ((1 - e1) * x**2 + (1 + e1) * y**2 - 2 * e2 * x * y) / torch.sqrt(1 - e1**2 - e2**2)
    return (1 + r2 / alpha2) ** -beta


def _seeing(fwhm, rng):
    """Seeing of a long exposure, sometimes with bad tracking."""
    n = len(fwhm)
    # Kolmogorov turbulence resembles 4.8, real telescopes scatter more light
    beta = torch.from_numpy(rng.uniform(2.2, 5.0, n))
    size = np.where(rng.random(n) < 0.1, rng.uniform(0.1, 0.35, n), np.abs(rng.normal(0, 0.05, n)))
    angle = rng.uniform(0, np.pi, n)
    e1, e2 = (torch.from_numpy(size.clip(0, 0.5) * f(2 * angle)) for f in (np.cos, np.sin))
    return _moffat(fwhm, beta, e1, e2)


def _asymmetric(fwhm, rng):
    """Seeing seen through imperfect optics: a second, displaced and wider part."""
    n = len(fwhm)
    psf = _seeing(fwhm, rng)
    second = _seeing(fwhm * torch.from_numpy(rng.uniform(1.2, 2.5, n)), rng)
    size, angle = rng.uniform(0, 0.35, n), rng.uniform(0, 2 * np.pi, n)
    half = WIDE_HALF
    shift = torch.from_numpy(np.stack([size * np.cos(angle), size * np.sin(angle)], 1)).float()
    second = _resampled(second, torch.eye(2).expand(n, 2, 2), shift * fwhm[:, None] / half)
    share = torch.from_numpy(rng.uniform(0.05, 0.4, n)).float()[:, None, None]
    total, other = psf.sum((1, 2), keepdim=True), second.sum((1, 2), keepdim=True)
    return psf / total * (1 - share) + second / other * share


def _resampled(psf, matrix, shift):
    """Images seen through a linear map about their middle, and a shift in halves of a side."""
    theta = torch.cat([matrix.float(), shift.float()[:, :, None]], 2)
    grid = torch.nn.functional.affine_grid(theta, (len(psf), 1, *psf.shape[1:]), align_corners=True)
    sampled = torch.nn.functional.grid_sample(
        psf[:, None], grid, mode="bicubic", padding_mode="zeros", align_corners=True
    )
    return sampled[:, 0]


def _diffraction(fwhm, rng):
    """Images of a point through pupils with obstructions, vanes and aberrations (Fraunhofer diffraction)."""
    n = len(fwhm)
    axis = torch.arange(PUPIL) - PUPIL // 2
    y, x = torch.meshgrid(axis.float(), axis.float(), indexing="ij")
    # The first minimum lies at 1.22, half of the maximum at 0.51 wavelengths over the diameter
    radius = (PUPIL * 1.03 / (OVERSAMPLING * fwhm) / 2)[:, None, None]
    turn = torch.from_numpy(rng.uniform(0, np.pi, n)).float()[:, None, None]
    u = (x * torch.cos(turn) + y * torch.sin(turn)) / radius
    v = (y * torch.cos(turn) - x * torch.sin(turn)) / radius
    rho, phi = torch.hypot(u, v), torch.atan2(v, u)
    # A hexagon has six sides at this distance in place of a circle
    sector = torch.remainder(phi, torch.pi / 3) - torch.pi / 6
    hexagon = torch.from_numpy(rng.random(n) < 0.35)[:, None, None]
    edge = torch.where(hexagon, rho * torch.cos(sector) / 0.91, rho)
    soft = 1 / radius
    pupil = ((1 - edge) / soft + 0.5).clamp(0, 1)
    inner = torch.from_numpy(rng.uniform(0.1, 0.4, n)).float()[:, None, None]
    pupil = pupil * ((rho - inner) / soft + 0.5).clamp(0, 1)
    vanes = torch.from_numpy(rng.choice([3, 4, 4], n)).float()[:, None, None]
    width = torch.from_numpy(rng.uniform(0.01, 0.05, n)).float()[:, None, None]
    period = 2 * torch.pi / vanes
    across = rho * torch.sin(torch.remainder(phi + period / 2, period) - period / 2).abs()
    pupil = pupil * ((across - width) / soft + 0.5).clamp(0, 1)
    # Defocus, astigmatism, coma and trefoil, as root mean square in waves
    shapes = (2 * rho**2 - 1, rho**2 * torch.cos(2 * phi), rho**2 * torch.sin(2 * phi))
    shapes += ((3 * rho**3 - 2 * rho) * torch.cos(phi), (3 * rho**3 - 2 * rho) * torch.sin(phi))
    shapes += (rho**3 * torch.cos(3 * phi),)
    waves = torch.from_numpy(rng.normal(0, 0.05, (len(shapes), n))).float()
    phase = sum(c[:, None, None] * shape for c, shape in zip(waves, shapes, strict=True)) * 2 * torch.pi
    field = torch.fft.fftshift(torch.fft.fft2(torch.polar(pupil, phase)), dim=(1, 2)).abs() ** 2
    # One sample more: the middle is the centre
    return torch.nn.functional.pad(field, (0, 1, 0, 1))


def _centred(psf):
    """Profiles whose own light, weighted with itself, has its mean in the middle."""
    y, x = _grid()
    for _ in range(2):
        weight = psf**2 / (psf**2).sum((1, 2), keepdim=True)
        shift = torch.stack([(weight * x).sum((1, 2)), (weight * y).sum((1, 2))], 1)
        psf = _resampled(psf, torch.eye(2).expand(len(psf), 2, 2), shift / WIDE_HALF).clamp(min=0)
    return psf


def _in_pixels(psf):
    """Share of the light in a pixel at each offset: the profile integrated over a pixel."""
    weights = torch.ones(OVERSAMPLING + 1)
    weights[[0, -1]] = 0.5
    weights = (weights / OVERSAMPLING)[None, None]
    half = OVERSAMPLING // 2
    psf = torch.nn.functional.conv2d(psf[:, None], weights[..., None], padding=(half, 0))
    psf = torch.nn.functional.conv2d(psf, weights[:, :, None], padding=(0, half))[:, 0]
    return psf / psf.sum((1, 2), keepdim=True) * OVERSAMPLING**2


def draw_psfs(fwhm, seed):
    """Effective point spread functions of random cameras.

    Parameters
    ----------
    fwhm : array-like
        Full width at half maximum of each before the light falls into pixels, in pixels, shape ``(n,)``.
    seed : int or tuple of int
        Seed.

    Returns
    -------
    psf : `~torch.Tensor`
        Shape ``(n, m, m)`` with ``m = 2 * WIDE_HALF * OVERSAMPLING + 1``, as in
        `~gammapy_asid.optical.batch.ImageBatch`.
    """
    rng = np.random.default_rng(seed)
    fwhm = torch.as_tensor(fwhm).float()
    family = rng.choice(len(SHARES), len(fwhm), p=SHARES)
    size = 2 * WIDE_HALF * OVERSAMPLING + 1
    psf = torch.empty(len(fwhm), size, size)
    for i, draw in enumerate((_seeing, _asymmetric, _diffraction)):
        own = torch.from_numpy(family == i)
        if own.any():
            psf[own] = _centred(draw(fwhm[own], rng))
    return _in_pixels(psf)


def misjudged(psf, width_error, shear_error, seed):
    """Point spread functions as they are measured: a little too wide or narrow, sheared, with wrong wings.

    Parameters
    ----------
    psf : `~torch.Tensor`
        True ones, shape ``(n, m, m)``.
    width_error, shear_error : array-like
        Standard deviations of the relative width, and of each component of the ellipticity, shape ``(n,)``.
    seed : int or tuple of int
        Seed.

    Returns
    -------
    psf : `~torch.Tensor`
        What is told of them.
    """
    rng = np.random.default_rng(seed)
    n = len(psf)
    width = rng.normal(0, 1, n) * np.asarray(width_error)
    g1, g2 = rng.normal(0, 1, (2, n)) * np.asarray(shear_error)
    # A map of the offsets that are looked up: wider profiles come from smaller offsets
    matrix = np.array([[1 - width - g1, -g2], [-g2, 1 - width + g1]]).transpose(2, 0, 1)
    wrong = _resampled(psf, torch.from_numpy(matrix), torch.zeros(n, 2)).clamp(min=0)
    # Wings, beyond the radius with 80 % of the light of a usual star, are measured worse than the core
    axis = torch.linspace(-1, 1, psf.shape[-1]) * (psf.shape[-1] // 2 / OVERSAMPLING)
    area = (psf > psf.amax((1, 2), keepdim=True) / 2).sum((1, 2)) / OVERSAMPLING**2
    core = torch.sqrt(area / torch.pi)[:, None, None]
    outside = torch.sigmoid((torch.hypot(axis, axis[:, None]) / core - 2.5) * 3)
    wings = torch.from_numpy(rng.normal(0, 6, n) * np.asarray(width_error)).float().clamp(-0.5, 1)
    wrong = wrong * (1 + wings[:, None, None] * outside)
    return wrong / wrong.sum((1, 2), keepdim=True) * OVERSAMPLING**2
