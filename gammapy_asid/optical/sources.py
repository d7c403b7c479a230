# Licensed under a 3-clause BSD style license - see LICENSE
"""Sources of an image: one table, masks, and what others make of them."""

import json
from importlib.metadata import version

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from regions import PixCoord, PointPixelRegion, PointSkyRegion, Regions, RegionVisual

from ..catalog.candidates import Candidates
from ..catalog.source_table import SourceTable
from ..utils.arguments import check_kind
from ..utils.sky_geometry import RADIUS_68, RADIUS_95, sky_ellipses
from ..utils.words import counted
from .flags import CANDIDATE_FLAGS, OpticalFlag
from .picture import draw_sources
from .source_files import read_sources, write_sources

__all__ = ["OpticalSources"]

#: Probability of a star from which a source counts as one.
STAR = 0.5

#: Probability of an artefact from which it counts as one.
ARTEFACT = 0.5

#: Marks of sources in regions.
MARKS = {"star": "x", "galaxy": "o", "artefact": "s", "unknown": "D"}


class OpticalSources(SourceTable):
    """Sources of one image.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        One row per source: ``id``, ``xcentroid`` and ``ycentroid`` in pixels (0 is the centre of the first)
        and ``flags`` (`~gammapy_asid.optical.flags.OpticalFlag`). Where they are known ``x_err``, ``y_err``,
        ``score``, the probability to be real, ``ra``, ``dec``, ``star_prob``, ``artefact_prob``, ``flux``
        with ``flux_errn`` and ``flux_errp``, ``flux_bound``, and ``mag`` with ``mag_errn`` and ``mag_errp``.
    masks : `~gammapy_asid.optical.pixel_masks.PixelMasks`, optional
        Pixels of cosmic rays (``cosmic_ray``) and of trails (``trail``).
    wcs : `~astropy.wcs.WCS`, optional
        Celestial projection of the image.
    meta : dict, optional
        Provenance, anything JSON can hold. ``version`` is added.
    image : `~gammapy_asid.optical.images.OpticalImage`, optional
        The image, for pictures.

    Raises
    ------
    TypeError, ValueError
        If it is no table, or lacks a column.
    """

    flag_class = OpticalFlag
    name_column = "id"

    def __init__(self, table, masks=None, wcs=None, meta=None, image=None):
        check_kind("table", table, QTable)
        missing = [n for n in ("id", "xcentroid", "ycentroid", "flags") if n not in table.colnames]
        if missing:
            raise ValueError(f"The table of sources has no column {', '.join(missing)}")
        self.table, self.masks, self.wcs, self.image = table, masks, wcs, image
        meta = {"version": version("gammapy-asid")} | (meta or {})
        self.meta = json.loads(json.dumps(meta, default=lambda value: value.tolist()))

    @property
    def summary(self):
        """What is in the table, in a few words."""
        parts = [super().summary + f" of {self.meta.get('image', 'an image')}"]
        if "star_prob" in self.table.colnames:
            for kind, plural in (("star", "stars"), ("galaxy", "galaxies")):
                parts.append(counted(np.count_nonzero(self.kinds == kind), kind, plural))
        if "flux" in self.table.colnames:
            parts.append(f"fluxes in {self.table['flux'].unit or 'units of the image'}")
        return ", ".join(parts)

    @property
    def kinds(self):
        """``star``, ``galaxy``, ``artefact`` or ``unknown`` of each source, shape ``(n,)``."""
        kinds = np.full(len(self), "unknown", "U8")
        if "star_prob" in self.table.colnames:
            prob = np.asarray(self.table["star_prob"])
            kinds[prob >= STAR], kinds[prob < STAR] = "star", "galaxy"
        if "artefact_prob" in self.table.colnames:
            kinds[np.asarray(self.table["artefact_prob"]) > ARTEFACT] = "artefact"
        return kinds

    @property
    def positions(self):
        """Positions (`~astropy.coordinates.SkyCoord`, ICRS); a `ValueError` if the image has no WCS."""
        if "ra" not in self.table.colnames:
            raise ValueError("The image has no WCS: there are pixel positions only")
        return SkyCoord(self.table["ra"], self.table["dec"], frame="icrs")

    def _with_rows(self, rows):
        return OpticalSources(self.table[rows], self.masks, self.wcs, self.meta, self.image)

    def to_regions(self):
        """Points, marked as crosses for stars and as circles for galaxies.

        Returns
        -------
        regions : `~regions.Regions`
            Points on the sky, or in pixels if there is no WCS, labelled with ``id``. Sources without a
            position have none.
        """
        x, y = (np.asarray(self.table[name], float) for name in ("xcentroid", "ycentroid"))
        sky = self.positions if "ra" in self.table.colnames else None
        marks = [RegionVisual(marker=MARKS[kind], fontsize=11) for kind in self.kinds]
        regions = []
        for i in np.flatnonzero(np.isfinite(x) & np.isfinite(y)):
            text = {"text": str(self.table["id"][i])}
            if sky is None:
                regions.append(PointPixelRegion(PixCoord(x[i], y[i]), meta=text, visual=marks[i]))
            else:
                regions.append(PointSkyRegion(sky[i], meta=text, visual=marks[i]))
        return Regions(regions)

    def to_candidates(self):
        """Sources as candidates, for association and evaluation: positions, errors and scores.

        Fluxes of candidates are those of photons and stay NaN.

        Returns
        -------
        candidates : `~gammapy_asid.Candidates`
            One row per source; errors are NaN where they, or the projection of the image, are not known.

        Raises
        ------
        ValueError
            If the image has no WCS, or a source no position.
        """
        positions, n = self.positions, len(self)
        lost = np.count_nonzero(~(np.isfinite(positions.ra) & np.isfinite(positions.dec)))
        if lost:
            raise ValueError(f"{lost} sources have no position on the sky: leave them out with select()")
        axes, angle = np.full((n, 2), np.nan) * u.deg, np.full(n, np.nan) * u.deg
        if n and self.wcs is not None and "x_err" in self.table.colnames:
            covariance = np.zeros((n, 2, 2))
            covariance[:, 0, 0], covariance[:, 1, 1] = self.table["x_err"] ** 2, self.table["y_err"] ** 2
            x, y = (np.asarray(self.table[name]) for name in ("xcentroid", "ycentroid"))
            axes, angle = sky_ellipses(self.wcs, x, y, covariance)
        score = self.table["score"] if "score" in self.table.colnames else np.full(n, np.nan)
        flags = np.zeros(n, "i4")
        for own, theirs in CANDIDATE_FLAGS.items():
            flags |= np.where(np.asarray(self.table["flags"]) & own, theirs, 0)
        return Candidates.from_positions(
            positions, score, RADIUS_68 * axes, RADIUS_95 * axes, angle, flags, meta=self.meta
        )

    def plot(self, image=None, ax=None):
        """Sources by class on their image, with the masks in colour.

        Parameters
        ----------
        image : str, path, `~astropy.nddata.CCDData` or `~numpy.ndarray`, optional
            The image; by default the one in which the sources were found.
        ax : `~matplotlib.axes.Axes`, optional
            Axes to draw on.

        Returns
        -------
        ax : `~matplotlib.axes.Axes`
            Axes.

        Raises
        ------
        ValueError
            If there is no image, or one of another shape.
        """
        if image is None and self.image is None:
            raise ValueError("These sources were read from a file: give their image to plot them on")
        return draw_sources(self, self.image if image is None else image, ax)

    def write(self, filename, overwrite=False):
        """Write the sources: FITS with masks and provenance, ECSV, CSV or DS9 regions, by the file's name.

        Parameters
        ----------
        filename : str or path
            File, ending in ``.fits``, ``.ecsv``, ``.csv`` or ``.reg``.
        overwrite : bool
            Replace an existing file.

        Raises
        ------
        FileExistsError, ValueError
            If the file exists and `overwrite` is False, or its name ends otherwise.
        """
        write_sources(self, filename, overwrite)

    @classmethod
    def read(cls, filename):
        """Read what `write` made: FITS whole, of ECSV and CSV the table and its provenance.

        Parameters
        ----------
        filename : str or path
            File.

        Returns
        -------
        sources : `OpticalSources`
            Sources.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no such file, or it holds something else.
        """
        return cls(*read_sources(filename))
