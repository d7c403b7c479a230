# Licensed under a 3-clause BSD style license - see LICENSE
"""What the detection network sees of images: brightness, significances, and the image sharpened."""

import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len

from .batch import HALF

__all__ = ["ELLIPTICITY", "N_CHANNELS", "N_CONDITIONS", "channels", "conditions", "neighbour_correlation"]

#: Channels of an image, and numbers that describe its point spread function.
N_CHANNELS, N_CONDITIONS = 14, 9

#: Where among these numbers the ellipticity is.
ELLIPTICITY = slice(3, 5)

#: Width in pixels of what a point becomes in the sharpened images, and noise over signal at which frequencies
#: are given up: the first sharpens bright crowds, the second faint ones.
SHARP, FLOORS = 0.65, (0.02, 0.15)

#: Width of the galaxies that the second matched filter looks for, in widths (FWHM) of a star.
EXTENDED = 0.6

#: Typical range of compressed values, and the channels that come a second time over their local scatter: in
#: crowds everything is bright, and what matters is the difference to the pixels around.
RANGE, CONTRASTED = 3.0, [0, 2, 4, 5]

#: Side of the window of that scatter in pixels, and the scatter of a sky without sources.
WINDOW, LEAST = 25, 0.2

#: Signal beyond which a pixel tells nothing of the correlation of the noise.
QUIET = 2.5

#: Signal over which brightness is compressed a second time, so that cores of bright stars keep their shape.
BRIGHT = 30.0


def channels(batch):
    """Input of the detection network.

    Parameters
    ----------
    batch : `~gammapy_asid.optical.batch.ImageBatch`
        Images.

    Returns
    -------
    channels : `~torch.Tensor`
        Shape ``(n, N_CHANNELS, ny, nx)``: brightness, twice; significance of a star and of a galaxy centred
        on each pixel; two sharpened images over their noise; four of these once more over their local
        scatter; what a pixel has beyond a star; whether the data are invalid, saturated; and the logarithm
        of the noise.
    """
    weight = batch.valid / batch.variance
    padded = [next_fast_len(n + 2 * HALF, real=True) for n in batch.shape]
    transform = torch.fft.rfft2(_reached(batch.kernels, padded))
    signal = torch.fft.rfft2(_mirrored(batch.signal * weight), s=padded)
    norm = torch.fft.rfft2(_mirrored(weight), s=padded)
    filtered = []
    for kernels in (batch.kernels, _widened(batch, padded)):
        spread = torch.fft.rfft2(_reached(kernels, padded))
        square = torch.fft.rfft2(_reached(kernels**2, padded))
        found = _part(signal * spread.conj(), padded, batch.shape)
        filtered.append((found, _part(norm * square.conj(), padded, batch.shape)))
    parts = [_compressed(batch.signal), _compressed(batch.signal / BRIGHT)]
    parts += [_compressed(found / torch.sqrt(variance.clamp(min=1e-6))) for found, variance in filtered]
    sharp = _gaussian(torch.full_like(batch.fwhm, SHARP), padded)
    plain = torch.fft.rfft2(_mirrored(batch.signal * batch.valid), s=padded)
    for floor in FLOORS:
        # Wiener's filter, with a constant ratio of noise and signal
        restored = transform.conj() * sharp / (transform.abs() ** 2 + floor**2)
        noise = torch.sqrt(_sum_of_squares(restored, padded))[:, None, None]
        parts.append(_compressed(_part(plain * restored, padded, batch.shape) / noise))
    images = torch.stack(parts, 1) / RANGE
    contrast = _contrast(images[:, CONTRASTED])
    alone = _compressed(_sharper(batch, weight, *filtered[0])) / RANGE
    rest = [alone, (~batch.valid).float(), batch.saturated.float(), torch.log(batch.variance)]
    return torch.cat([images, contrast, torch.stack(rest, 1)], 1)


def _compressed(values):
    """Inverse hyperbolic sine, in a quarter of the time of Torch's own."""
    size = values.abs().clamp(max=1e18)
    return torch.copysign(torch.log(size + torch.sqrt(size * size + 1)), values)


def _sharper(batch, weight, found, precision):
    """Significance of light in a pixel beyond that of a star there, as the pixels around give it.

    The residual of a fit that leaves the pixel out: no optics makes it large, a cosmic ray does. The matched
    filter and its precision, less what the pixel itself has in them.
    """
    peak = batch.kernels[:, HALF, HALF][:, None, None]
    precision = (precision - peak**2 * weight).clamp(min=1e-6)
    around = (found - peak * batch.signal * weight) / precision * peak
    noise = torch.sqrt(1 / weight.clamp(min=1e-6) + peak**2 / precision)
    return (batch.signal - around) * batch.valid / noise


def _contrast(images):
    """Images less their mean over their scatter around each pixel (Jarrett et al. 2009, ICCV, 2146)."""
    images = images - _mean(images)
    return images / torch.sqrt(_mean(images**2).clamp(min=0) + LEAST**2)


def _mean(images):
    """Mean of the pixels in the window around each, of those that the image has."""
    for axis in (-1, -2):
        sums = _window_sums(images, axis)
        count = _window_sums(torch.ones(images.shape[axis], device=images.device), -1)
        images = sums / (count if axis == -1 else count[:, None])
    return images


def _window_sums(values, axis):
    """Sums in the window along an axis: differences of those from the first pixel on, whatever its width."""
    frame = (0, 0) * (-1 - axis) + (WINDOW // 2 + 1, WINDOW // 2)
    total = torch.cumsum(F.pad(values, frame), axis)
    n = values.shape[axis]
    return total.narrow(axis, WINDOW, n) - total.narrow(axis, 0, n)


def _widened(batch, padded):
    """Kernels of galaxies: those of stars, smoothed."""
    side = [min(next_fast_len(2 * batch.kernels.shape[-1], real=True), n) for n in padded]
    wide = torch.fft.rfft2(_reached(batch.kernels, side)) * _gaussian(EXTENDED * batch.fwhm / 2.355, side)
    return torch.fft.fftshift(torch.fft.irfft2(wide, s=side), (1, 2))


def _sum_of_squares(transform, shape):
    """Sum of the squares of the pixels of real images of a transform (Parseval), shape ``(n,)``."""
    power = transform.abs() ** 2
    twice = torch.full((power.shape[-1],), 2.0, device=power.device)
    twice[0] = 1
    if shape[1] % 2 == 0:
        twice[-1] = 1
    return (power * twice).sum((1, 2)) / (shape[0] * shape[1])


def _reached(kernels, padded):
    """Kernels with their centre at the first pixel of padded images."""
    ny, nx = kernels.shape[1:]
    kernels = F.pad(kernels, (0, padded[1] - nx, 0, padded[0] - ny))
    return torch.roll(kernels, (-(ny // 2), -(nx // 2)), (1, 2))


def _gaussian(sigma, padded):
    """Fourier transform of Gaussians of widths in pixels, shape ``(n, ny, nx // 2 + 1)``."""
    fy = torch.fft.fftfreq(padded[0], device=sigma.device)[:, None]
    fx = torch.fft.rfftfreq(padded[1], device=sigma.device)
    return torch.exp(-2 * torch.pi**2 * sigma[:, None, None] ** 2 * (fy**2 + fx**2))


def _mirrored(images):
    """Images with a mirrored frame of `HALF` pixels: an edge of nothing would look like light."""
    return F.pad(images[:, None], (HALF,) * 4, mode="replicate")[:, 0]


def _part(transform, padded, shape):
    """Images of a transform without the frame."""
    images = torch.fft.irfft2(transform, s=padded)
    return images[:, HALF : HALF + shape[0], HALF : HALF + shape[1]]


def conditions(batch):
    """Description of the point spread function for the network.

    Parameters
    ----------
    batch : `~gammapy_asid.optical.batch.ImageBatch`
        Images.

    Returns
    -------
    conditions : `~torch.Tensor`
        Shape ``(n, N_CONDITIONS)``: width and noise-equivalent area, as logarithms; share of light in the
        central pixel; ellipticity in two components; shares beyond one and two widths; whether the noise of
        sources is known; and the correlation of neighbouring pixels.
    """
    kernels = batch.kernels
    axis = torch.arange(-HALF, HALF + 1, device=kernels.device).float()
    y, x = axis[:, None], axis
    r2 = x**2 + y**2
    # Moments of the squared profile, which the wings do not rule
    square = kernels**2
    square = square / square.sum((1, 2), keepdim=True)
    moment = (square * r2).sum((1, 2))
    e1, e2 = (square * (x**2 - y**2)).sum((1, 2)) / moment, (square * 2 * x * y).sum((1, 2)) / moment
    fwhm = batch.fwhm
    outside = [(kernels * (r2 > (k * fwhm[:, None, None]) ** 2)).sum((1, 2)) for k in (1, 2)]
    area = -torch.log((kernels**2).sum((1, 2)))
    known = (batch.variance != 1).flatten(1).any(1).float()
    shared = _correlation(batch)
    numbers = [torch.log(fwhm), area - 2, kernels.amax((1, 2)), e1, e2, *outside, known, shared]
    return torch.stack(numbers, 1)


def _correlation(batch):
    """Correlation of neighbouring pixels without bright sources: resampled images share noise."""
    window = {"kernel_size": WINDOW, "stride": WINDOW, "ceil_mode": True, "count_include_pad": False}
    level = F.avg_pool2d(batch.signal.clamp(-QUIET, QUIET)[:, None], **window)
    level = F.interpolate(level, scale_factor=WINDOW)[:, 0, : batch.shape[0], : batch.shape[1]]
    signal = batch.signal - level
    quiet = batch.valid & (signal.abs() < QUIET)
    return neighbour_correlation(torch.where(quiet, signal, 0.0))


def neighbour_correlation(images):
    """Correlation of neighbouring pixels along both axes.

    Parameters
    ----------
    images : `~torch.Tensor`
        Noise without sources, 0 where there is none, shape ``(n, ny, nx)``.

    Returns
    -------
    correlation : `~torch.Tensor`
        Shape ``(n,)``: 0 for white noise, more where resampled images share it.
    """
    down, across = images[:, 1:] * images[:, :-1], images[:, :, 1:] * images[:, :, :-1]
    pairs = down.sum((1, 2)) + across.sum((1, 2))
    return pairs / (2 * (images**2).sum((1, 2))).clamp(min=1e-3)
