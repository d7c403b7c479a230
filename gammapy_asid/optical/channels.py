# Licensed under a 3-clause BSD style license - see LICENSE
"""What the detection network sees of images: brightness, significances, and the image sharpened."""

import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len

from .batch import HALF

__all__ = ["ELLIPTICITY", "N_CHANNELS", "N_CONDITIONS", "channels", "conditions"]

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
    wide = transform * _gaussian(EXTENDED * batch.fwhm / 2.355, padded)
    signal = torch.fft.rfft2(_mirrored(batch.signal * weight), s=padded)
    norm = torch.fft.rfft2(_mirrored(weight), s=padded)
    parts = [torch.asinh(batch.signal), torch.asinh(batch.signal / BRIGHT)]
    for spread in (transform, wide):
        kernel = torch.fft.irfft2(spread, s=padded)
        square = torch.fft.rfft2(kernel**2)
        found = _part(signal * spread.conj(), padded, batch.shape)
        variance = _part(norm * square.conj(), padded, batch.shape)
        parts.append(torch.asinh(found / torch.sqrt(variance.clamp(min=1e-6))))
    sharp = _gaussian(torch.full_like(batch.fwhm, SHARP), padded)
    plain = torch.fft.rfft2(_mirrored(batch.signal * batch.valid), s=padded)
    for floor in FLOORS:
        # Wiener's filter, with a constant ratio of noise and signal
        restored = transform.conj() * sharp / (transform.abs() ** 2 + floor**2)
        noise = torch.sqrt((torch.fft.irfft2(restored, s=padded) ** 2).sum((1, 2)))[:, None, None]
        parts.append(torch.asinh(_part(plain * restored, padded, batch.shape) / noise))
    images = torch.stack(parts, 1) / RANGE
    contrast = _contrast(images[:, CONTRASTED])
    alone = torch.asinh(_sharper(batch, weight, signal, norm, padded)) / RANGE
    rest = [alone, (~batch.valid).float(), batch.saturated.float(), torch.log(batch.variance)]
    return torch.cat([images, contrast, torch.stack(rest, 1)], 1)


def _sharper(batch, weight, signal, norm, padded):
    """Significance of light in a pixel beyond that of a star there, as the pixels around give it.

    The residual of a fit that leaves the pixel out: no optics makes it large, a cosmic ray does.
    """
    kernels = batch.kernels.clone()
    peak = kernels[:, HALF, HALF].clone()[:, None, None]
    kernels[:, HALF, HALF] = 0
    around = torch.fft.rfft2(_reached(kernels, padded))
    square = torch.fft.rfft2(_reached(kernels**2, padded))
    found = _part(signal * around.conj(), padded, batch.shape)
    precision = _part(norm * square.conj(), padded, batch.shape).clamp(min=1e-6)
    residual = batch.signal - found / precision * peak
    return residual * batch.valid / torch.sqrt(1 / weight.clamp(min=1e-6) + peak**2 / precision)


def _contrast(images):
    """Images less their mean over their scatter around each pixel (Jarrett et al. 2009, ICCV, 2146)."""
    axis = {"kernel_size": (WINDOW, 1), "padding": (WINDOW // 2, 0)}
    other = {"kernel_size": (1, WINDOW), "padding": (0, WINDOW // 2)}

    def mean(values):
        values = F.avg_pool2d(values, stride=1, count_include_pad=False, **axis)
        return F.avg_pool2d(values, stride=1, count_include_pad=False, **other)

    images = images - mean(images)
    return images / torch.sqrt(mean(images**2) + LEAST**2)


def _reached(kernels, padded):
    """Kernels with their centre at the first pixel of padded images."""
    half = kernels.shape[-1] // 2
    kernels = F.pad(kernels, (0, padded[1] - kernels.shape[2], 0, padded[0] - kernels.shape[1]))
    return torch.roll(kernels, (-half, -half), (1, 2))


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
    signal = torch.where(quiet, signal, 0.0)
    pairs = (signal[:, 1:] * signal[:, :-1]).sum((1, 2)) + (signal[:, :, 1:] * signal[:, :, :-1]).sum((1, 2))
    square = (signal**2).sum((1, 2))
    return pairs / (2 * square).clamp(min=1e-3)
