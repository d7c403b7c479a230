# Licensed under a 3-clause BSD style license - see LICENSE
"""Source detection with a multi-resolution U-Net."""

import astropy.units as u
import numpy as np
from gammapy.estimators import Estimator
from gammapy.maps import Maps, WcsNDMap
from scipy.spatial import KDTree

from ..candidates import CandidateFlag, Candidates
from ..inputs.convert import to_band_cube
from ..networks.description import psf_radius
from ..networks.model import DetectionModel
from ..networks.peaks import edge_distance
from ..networks.source_model import FAINTEST_SCORE, SourceEnsemble, fit_field

__all__ = ["DLSourceDetector"]

# Containment radii of a two-dimensional Gaussian in its widths.
RADIUS_68, RADIUS_95 = np.sqrt(-2 * np.log(1 - np.array([0.68, 0.95])))


# Steps in pixels for the directions of the axes on the sky.
STEP = 0.1
STEPS = ((STEP, 0.0), (0.0, STEP))


class DLSourceDetector(Estimator):
    """Find gamma-ray sources with deep learning.

    The dataset is brought to the energy bands of the model. A multi-resolution U-Net
    sees counts, the known sky and the significance of a source at each pixel, and
    gives the probability of a source; a Laplacian of Gaussian finds the centres.
    Method of the AutoSourceID pipeline (Panes et al. 2021, A&A 656, A62) with the
    likelihood's own view of the field added.

    Background and models of the dataset are the known sky: sources already modelled are
    not found again. Masks are honoured.

    Parameters
    ----------
    model : str or path
        Name of a shipped model, or path of weights with their card beside them.
    threshold : float
        Smallest calibrated probability of a candidate to be real.
    centres : {"log", "kmeans"}
        Source centres by the Laplacian of Gaussian with sub-pixel refinement, or by K-means as in
        the published pipeline. The calibration of the score is that of the former.
    refine : bool
        Fit the candidates together and let the model's ensemble refine their positions, with error
        ellipses; otherwise positions and error circles are those of the detection network.
    device : str, optional
        Torch device; by default the accelerator if there is one.

    Examples
    --------
    >>> from gammapy_asid import DLSourceDetector
    >>> detector = DLSourceDetector(model="lat", threshold=0.5)
    >>> candidates = detector.run(dataset)  # doctest: +SKIP
    """

    tag = "DLSourceDetector"

    def __init__(self, model="lat", threshold=0.5, centres="log", refine=True, device=None):
        if not 0 < threshold < 1:
            raise ValueError(f"The threshold is a probability between 0 and 1, got {threshold}")
        if centres not in ("log", "kmeans"):
            raise ValueError(f"Centres are found by 'log' or 'kmeans', got {centres!r}")
        self.model = model
        self.centres = centres
        self.refine = refine
        self.threshold = threshold
        self.device = device
        self._handle = DetectionModel.load(model, device)
        self._ensemble = SourceEnsemble.load(model, "position") if refine else None

    @property
    def config_parameters(self):
        """Configuration, without the network."""
        return {
            "model": str(self.model),
            "threshold": self.threshold,
            "centres": self.centres,
            "refine": self.refine,
            "device": str(self._handle.device),
        }

    def run(self, datasets):
        """Find the sources of a field.

        Parameters
        ----------
        datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
            Data of one field, which may come in event types, energy ranges and pixel sizes.

        Returns
        -------
        candidates : `~gammapy_asid.Candidates`
            Candidates above the threshold, by decreasing score. Their maps are ``score``, the
            network's probability of a source within the model's match radius (LAT: 0.3 deg) of
            each pixel, and ``centre``.

        Raises
        ------
        TypeError, ValueError
            If the data can't be used; see `~gammapy_asid.inputs.to_band_cube`.
        """
        handle = self._handle
        cube = to_band_cube(datasets, handle.bands)
        handle.check_range(cube.response)
        output = handle.output(cube)
        peaks = handle.peaks(output, cube, self.centres)
        peaks = peaks.select(peaks.score >= min(self.threshold, FAINTEST_SCORE))
        ellipses = self._refined(peaks, cube) if self.refine and len(peaks) else self._circles(peaks, cube)
        flags = self._flags(peaks, cube)
        chosen = np.flatnonzero(peaks.score >= self.threshold)
        chosen = chosen[np.argsort(-peaks.score[chosen], kind="stable")]
        peaks, flags, ellipses = peaks.select(chosen), flags[chosen], [v[chosen] for v in ellipses]
        return Candidates.from_positions(
            cube.geom.wcs.pixel_to_world(peaks.x, peaks.y),
            peaks.score,
            *ellipses,
            flags=flags,
            maps=self._maps(output, cube),
            meta=self._meta(cube),
        )

    def _circles(self, peaks, cube):
        """Error circles of the detection network: semi-axes of 68 % and 95 %, and their angle."""
        sigma = peaks.sigma * self._handle.card.position_scale * cube.response.pixel_size * u.deg
        sigma = np.stack([sigma, sigma], axis=1)
        return RADIUS_68 * sigma, RADIUS_95 * sigma, np.zeros(len(peaks)) * u.deg

    def _refined(self, peaks, cube):
        """Move the peaks to their refined positions; semi-axes of the error ellipses and their angle."""
        sources = fit_field(cube, peaks.x, peaks.y, peaks.score, peaks.sigma)
        refined = self._ensemble.positions(sources)
        peaks.x, peaks.y = refined.x, refined.y
        axes, angle = sky_ellipses(cube.geom.wcs, refined.x, refined.y, refined.covariance)
        first, second = np.sqrt(refined.scale).T[..., None]
        return first * axes, second * axes, angle

    @staticmethod
    def _flags(peaks, cube):
        """Bits of `~gammapy_asid.candidates.CandidateFlag` for each peak."""
        flags = np.zeros(len(peaks), int)
        if len(peaks) == 0:
            return flags
        pixel_size = cube.response.pixel_size
        distance = edge_distance(cube.mask.any(axis=0), peaks.x, peaks.y) * pixel_size
        flags[distance < cube.bands.match_radius] |= CandidateFlag.NEAR_EDGE
        reach = 2 * np.nanmin(psf_radius(cube.response)) / pixel_size
        pairs = KDTree(np.column_stack([peaks.x, peaks.y])).query_pairs(
            max(reach, 1e-9), output_type="ndarray"
        )
        fainter = np.where(peaks.score[pairs[:, 0]] < peaks.score[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
        flags[fainter] |= CandidateFlag.NEAR_BRIGHTER
        return flags

    @staticmethod
    def _maps(output, cube):
        probability = output[:2].sigmoid().numpy() * cube.mask.any(axis=0)
        return Maps(
            score=WcsNDMap(cube.geom, probability[1].astype(np.float32)),
            centre=WcsNDMap(cube.geom, probability[0].astype(np.float32)),
        )

    def _meta(self, cube):
        card, response = self._handle.card, cube.response
        purity, completeness = card.expected(self.threshold, cube.has_background)
        return {
            "model": card.name,
            "card_sha256": card.sha256,
            "threshold": self.threshold,
            "expected_purity": purity,
            "expected_completeness": completeness,
            "energy_range": [float(np.nanmin(response.e_min)), float(np.nanmax(response.e_max))],
            "background": cube.has_background,
            "datasets": cube.meta.get("datasets", []),
        }


def sky_ellipses(wcs, x, y, covariance):
    """Error ellipses on the sky from covariances in pixels.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS`
        Projection.
    x, y : `~numpy.ndarray`
        Positions in pixels, shape ``(n,)``.
    covariance : `~numpy.ndarray`
        Shape ``(n, 2, 2)``.

    Returns
    -------
    axes : `~astropy.units.Quantity`
        Standard deviations along the larger and the smaller axis, shape ``(n, 2)``.
    angle : `~astropy.units.Quantity`
        Angle of the larger axis from north to east in ICRS, 0 to 180 deg.
    """
    centre = wcs.pixel_to_world(x, y).icrs
    steps = [centre.spherical_offsets_to(wcs.pixel_to_world(x + dx, y + dy).icrs) for dx, dy in STEPS]
    jacobian = (
        np.array([[offset.to_value("deg") for offset in step] for step in steps]).transpose(2, 1, 0) / STEP
    )
    values, vectors = np.linalg.eigh(jacobian @ covariance @ jacobian.transpose(0, 2, 1))
    axes = np.sqrt(values.clip(min=0))[:, ::-1] * u.deg
    east, north = vectors[:, 0, 1], vectors[:, 1, 1]
    return axes, np.degrees(np.arctan2(east, north)) % 180 * u.deg
