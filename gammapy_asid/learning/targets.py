# Licensed under a 3-clause BSD style license - see LICENSE
"""What the network learns: maps of source centres, of matches and of offsets."""

import torch

from ..inputs.bands import LAT_BANDS

__all__ = ["detection_loss", "match_radius", "target_maps", "turned_targets"]

# Weights of the parts of the loss. Candidates are the peaks of the centre maps; both entropies are means over
# pixels most of which are empty, hence small. Offsets only refine.
CENTRE_WEIGHT, MATCH_WEIGHT, OFFSET_WEIGHT = 50, 10, 0.1

# Offsets are learned within this many widths of the centre marks.
OFFSET_RANGE = 1.5

# Widths of the centre marks of extended sources over their own, and of the match radius. Sources wider
# than the last number, in multiples of the match radius of points, get no larger marks.
EXTENDED_CENTRE, EXTENDED_MATCH, WIDEST = 0.2, 0.7, 5.0


def match_radius(bands, width):
    """Distance within which a candidate counts as a source.

    Parameters
    ----------
    bands : `~gammapy_asid.inputs.Bands`
        Bands of the model.
    width : `~torch.Tensor`
        Width per axis of each source in deg, 0 for points.

    Returns
    -------
    radius : `~torch.Tensor`
        In deg: that of the bands for points, with 0.7 of the width added in quadrature for extended ones.
    """
    radius = torch.full_like(width, bands.match_radius)
    return torch.hypot(radius, EXTENDED_MATCH * width.clamp(max=WIDEST * bands.match_radius))


def target_maps(patch, x, y, pixel_size, n_patches, shape, half=5, bands=LAT_BANDS, width=None, value=None):
    """Draw sources into target maps.

    Parameters
    ----------
    patch : `~torch.Tensor`
        Index of each source's patch, shape ``(n,)``.
    x, y : `~torch.Tensor`
        Positions in finest pixels, shape ``(n,)``. Those outside the patch are left out.
    pixel_size : `~torch.Tensor`
        Finest pixel size of each patch in deg, shape ``(n_patches,)``.
    n_patches : int
        Number of patches.
    shape : tuple
        ``(ny, nx)`` of a patch.
    half : int
        Half width in pixels of what a source marks.
    bands : `~gammapy_asid.inputs.Bands`
        Bands of the model.
    width : `~torch.Tensor`, optional
        Width per axis of each source in deg, shape ``(n,)``; by default points. Centres and match radii of
        extended sources are wider.

    Returns
    -------
    targets : `~torch.Tensor`
        Shape ``(n_patches, 5, ny, nx)``: Gaussians at the source centres, one within the
        match radius of any source, offset to the source in x and y (pixels), and
        one where the offsets count.
    """
    ny, nx = shape
    inside = (x >= -0.5) & (x < nx - 0.5) & (y >= -0.5) & (y < ny - 0.5)
    width = torch.zeros_like(x) if width is None else width
    # Once for all: on an accelerator each mask waits for the host
    (inside,) = torch.nonzero(inside, as_tuple=True)
    patch, x, y, width = patch[inside], x[inside], y[inside], width[inside]
    largest = WIDEST * bands.match_radius
    centre_sigma = torch.hypot(
        torch.full_like(x, bands.centre_sigma), EXTENDED_CENTRE * width.clamp(max=largest)
    )
    radius = match_radius(bands, width)
    reach = torch.ceil(radius / pixel_size[patch]).clamp(min=half)
    # Wide sources mark more pixels than all others need
    groups = (reach <= half, half), (reach > half, int(reach.max()) if len(x) else half)
    marked = [
        _marked(
            *(v[g] for v in (torch.arange(len(x), device=x.device), patch, x, y)),
            *(v[g] for v in (pixel_size[patch], centre_sigma, radius)),
            size,
            shape,
        )
        for g, size in groups
    ]
    source, flat, gauss, near, r2, dx, dy = (torch.cat(v) for v in zip(*marked, strict=True))
    centre = torch.zeros(n_patches * ny * nx, device=x.device).scatter_reduce_(0, flat, gauss, "amax")
    match = torch.zeros_like(centre)
    match[flat[near]] = 1
    # A pixel's offset points to the source that marks it most.
    own = (gauss == centre[flat]) & (r2 < (OFFSET_RANGE * bands.centre_sigma) ** 2)
    (own,) = torch.nonzero(own, as_tuple=True)
    columns = [dx[own], dy[own], torch.ones_like(dx[own])]
    if value is not None:
        columns.append(value[inside][source[own]])
    pointed = torch.zeros(len(columns), len(centre), device=x.device)
    pointed[:, flat[own]] = torch.stack(columns)
    maps = torch.cat([centre[None], match[None], pointed]).view(-1, n_patches, ny, nx)
    return maps.transpose(0, 1).contiguous()


def _marked(source, patch, x, y, pixel_size, centre_sigma, radius, half, shape):
    """Pixels around sources: source, flat index, mark, whether near, distance squared, offset in pixels."""
    ny, nx = shape
    grid = torch.arange(-half, half + 1, device=x.device)
    column = torch.round(x).long()[:, None, None] + grid
    row = torch.round(y).long()[:, None, None] + grid[:, None]
    valid = (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
    dx, dy = torch.broadcast_tensors(x[:, None, None] - column, y[:, None, None] - row)
    r2 = (dx**2 + dy**2) * pixel_size[:, None, None] ** 2
    gauss = torch.exp(-0.5 * r2 / centre_sigma[:, None, None] ** 2)
    flat = (patch[:, None, None] * ny + row) * nx + column
    near = r2 < radius[:, None, None] ** 2
    source = source[:, None, None].expand(valid.shape)
    valid = torch.nonzero(valid, as_tuple=True)
    return tuple(v[valid] for v in (source, flat, gauss, near, r2, dx, dy))


def detection_loss(output, targets, mask, weight=None):
    """Loss of centre and match maps, and of the offsets.

    Cross entropies, whose minimum is the true probability, and the likelihood of the
    offsets under a Gaussian of predicted width (Nix & Weigend 1994, ICNN, 55).

    Parameters
    ----------
    output : `~torch.Tensor`
        Network output, shape ``(n, 5, ny, nx)``.
    targets : `~torch.Tensor`
        Result of `target_maps`.
    mask : `~torch.Tensor`
        Share of valid data in each finest pixel, shape ``(n, ny, nx)``.
    weight : `~torch.Tensor`, optional
        Weight of each field in the entropies, shape ``(n,)``; by default pixels count alike.

    Returns
    -------
    parts : dict of `~torch.Tensor`
        ``centre``, ``match`` and ``offset`` losses and their sum ``loss``.
    """
    valid = (mask > 0).float()
    share = valid if weight is None else valid * weight[:, None, None]
    share = share / valid.sum().clamp(min=1)
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
    # Unbound: the gradient of an indexed map is a full set of maps
    centre_map, match_map, x, y, log_sigma = output.unbind(1)
    centre = (cross_entropy(centre_map, targets[:, 0], reduction="none") * share).sum()
    match = (cross_entropy(match_map, targets[:, 1], reduction="none") * share).sum()
    weight = targets[:, 4] * valid
    # Errors from a fiftieth of a pixel to seven: no source pulls without limit
    log_sigma = log_sigma.clamp(-4, 2)
    distance2 = (x - targets[:, 2]) ** 2 + (y - targets[:, 3]) ** 2
    nll = 0.5 * distance2 * torch.exp(-2 * log_sigma) + 2 * log_sigma
    offset = (nll * weight).sum() / weight.sum().clamp(min=1)
    loss = CENTRE_WEIGHT * centre + MATCH_WEIGHT * match + OFFSET_WEIGHT * offset
    return {"loss": loss, "centre": centre, "match": match, "offset": offset}


def turned_targets(targets, turn):
    """Target maps that were turned as images, with their offsets turned too.

    Parameters
    ----------
    targets : `~torch.Tensor`
        Result of `target_maps`, turned by `turn` times 90 deg, and mirrored if that is above 3.
    turn : int
        From 1 to 7.

    Returns
    -------
    targets : `~torch.Tensor`
        The maps.
    """
    dx, dy = targets[:, 2], targets[:, 3]
    for _ in range(turn % 4):
        dx, dy = dy, -dx
    dx, dy = (dy, dx) if turn > 3 else (dx, dy)
    return torch.cat([targets[:, :2], dx[:, None], dy[:, None], targets[:, 4:]], 1)
