# Licensed under a 3-clause BSD style license - see LICENSE
"""Recipe of a detection model and its ensembles."""

import logging
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ...learning.recipe import (
    Count,
    Interval,
    LargeCount,
    Positive,
    Recipe,
    StrictRecipe,
    Widths,
)

__all__ = ["InstrumentRecipe", "PlaneRecipe", "DetectionRecipe", "RealFieldRecipe", "SourceRecipe"]

log = logging.getLogger(__name__)


class InstrumentRecipe(StrictRecipe):
    """A family of LAT responses; intervals are drawn from, logarithmically.

    Parameters
    ----------
    irf, event_type : str
        See `~gammapy_asid.simulation.lat_response`.
    e_min, e_max : float
        Energy range of the data in GeV.
    livetime : tuple of float
        Interval of the mission time in years.
    pixel_size : tuple of float
        Interval of the finest pixel size in deg.
    exposure : tuple of float, optional
        Mean exposure of each band in cm2 s, in place of the computed one.
    native_pixel : float, optional
        Size in deg of the pixels that the data were sampled with before, if larger.
    copies : int
        Number of responses drawn.
    weight : float
        Relative probability of the family.
    """

    irf: str
    event_type: str = "FRONT+BACK"
    e_min: Positive = 0.3
    e_max: Positive = 1000.0
    livetime: Interval = (1.0, 16.0)
    pixel_size: Interval = (0.08, 0.2)
    exposure: tuple[float, ...] | None = None
    native_pixel: Positive | None = None
    copies: int = Field(4, ge=1, le=1000)
    weight: Positive = 1.0


class PlaneRecipe(StrictRecipe):
    """Fields of imaging telescopes near the Galactic plane.

    Parameters
    ----------
    fields : int
        Number of fields of random instruments and pointings.
    pixel_size : tuple of float
        Interval of the finest pixel size in deg.
    """

    fields: int = Field(36, ge=1, le=10000)
    pixel_size: Interval = (0.03, 0.055)


class RealFieldRecipe(StrictRecipe):
    """A real field whose sources are known; environment variables in its paths are expanded.

    Parameters
    ----------
    dataset : str
        File of a `~gammapy.datasets.MapDataset`, with its background where there is one.
    sources : str
        Table with the positions of all known sources in the field.
    """

    dataset: str
    sources: str


class SourceRecipe(StrictRecipe):
    """Ensembles for position and flux, trained on the candidates of the detection model.

    Parameters
    ----------
    patches : int
        Simulated patches that they learn from; half as many calibrate them, a quarter test them.
    members : int
        Networks in each ensemble.
    width : int
        Hidden units of each layer.
    batch_size : int
        Sources in a batch of one member.
    steps : int
        Steps of the means, and half as many of the spreads.
    learning_rate : float
        Largest learning rate; falls as a cosine.
    weight_decay : float
        Decoupled weight decay of AdamW.
    """

    patches: int = Field(24000, ge=8, le=10**8)
    members: int = Field(15, ge=2, le=1000)
    width: int = Field(128, ge=1, le=4096)
    batch_size: int = Field(256, ge=1, le=65536)
    steps: LargeCount = 8000
    learning_rate: float = Field(2e-3, gt=0, le=10)
    weight_decay: float = Field(1e-2, ge=0, le=10)


class DetectionRecipe(Recipe):
    """Everything that determines the weights of a detection model.

    Parameters
    ----------
    task, name, seed, simulator, start, optimiser
        See `~gammapy_asid.learning.recipe.Recipe`; a model to start from has the same widths.
    instruments : tuple of `InstrumentRecipe`
        LAT responses; empty if the instrument is that of a dataset.
    plane : `PlaneRecipe`, optional
        Fields of imaging telescopes, in place of the instruments.
    emission : str, optional
        File of an `~gammapy_asid.simulation.EmissionBank`; environment variables are
        expanded. By default the analytic emission.
    library : str, optional
        File of generated patches, see `~gammapy_asid.simulation.counts_library.CountsLibrary`, for the
        simulator ``generated-counts``; environment variables are expanded.
    profiled : bool
        Whether the network sees the significance with the level of the known sky free, too
        (`~gammapy_asid.stats.profiled.profiled_score_terms`).
    structure : str, optional
        File of a `~gammapy_asid.simulation.structure.StructureLibrary` of generated emission; environment
        variables are expanded. By default all structure is that of the emission models.
    structure_share : float
        Share of the patches with generated structure.
    far_levels : float
        Share of the patches with a level of the emission far from that of the LAT's sky, see
        `~gammapy_asid.simulation.emission_variations.FarLevels`.
    faults : float
        Share of the patches with a fault, see `~gammapy_asid.simulation.faulty_patches.FaultyLatSimulator`.
    real : tuple of `RealFieldRecipe`, optional
        Real fields into which sources are put, for the training alone.
    real_share : float
        Share of the batches of the training that are made of real fields, if there are any.
    background_share : float
        Share of the patches that come with a predicted background.
    patch_size : int
        Patch size in finest pixels.
    widths : tuple of int
        Feature channels of the network on every level.
    validation_patches : int
        Number of patches of the fixed simulated sky.
    calibration_patches : int
        Number of patches for the calibration of the score, and as many for its test.
    reuse : int
        How often simulated patches are used, each time turned or mirrored otherwise.
    sources : `SourceRecipe`
        Ensembles for position and flux.
    """

    task: Literal["detection"] = "detection"
    instruments: Annotated[tuple[InstrumentRecipe, ...], Field(max_length=1000)] = ()
    plane: PlaneRecipe | None = None
    emission: str | None = None
    library: str | None = None
    profiled: bool = False
    structure: str | None = None
    structure_share: float = Field(0.5, ge=0, le=1)
    far_levels: float = Field(0, ge=0, le=1)
    faults: float = Field(0, ge=0, le=1)
    real: Annotated[tuple[RealFieldRecipe, ...], Field(min_length=1, max_length=1000)] | None = None
    real_share: float = Field(0.1, ge=0, le=1)
    background_share: float = Field(0.65, ge=0, le=1)
    patch_size: int = Field(64, ge=32, le=1024, multiple_of=8)
    widths: Widths = (24, 48, 96, 128)
    validation_patches: Count = 128
    calibration_patches: LargeCount = 4096
    reuse: int = Field(1, ge=1, le=8)
    sources: SourceRecipe = SourceRecipe()

    @model_validator(mode="after")
    def _entries_belong_together(self):
        if self.plane is not None and self.instruments:
            raise ValueError(
                "fields of the plane have instruments of their own: leave out plane or instruments"
            )
        if self.library is not None and self.simulator is None:
            raise ValueError(
                "a library is for the simulator generated-counts: add simulator: generated-counts"
            )
        return self

    @property
    def emission_path(self):
        """Path of the emission bank with environment variables expanded, or None."""
        return None if self.emission is None else Path(os.path.expandvars(self.emission))

    def for_datasets(self):
        if not self.instruments:
            return self
        log.warning(
            f"The instruments of recipe {self.name!r} are not used: the model is trained for that of the "
            "dataset. Leave out the dataset to train for those of the recipe."
        )
        # A card must not name what was not simulated
        return self.model_copy(update={"instruments": ()})
