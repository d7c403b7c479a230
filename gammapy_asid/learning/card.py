# Licensed under a 3-clause BSD style license - see LICENSE
"""Model cards: what a set of weights is, what it was trained for and how well it does."""

import hashlib
import json
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..inputs.bands import Bands

__all__ = ["BandsCard", "Card", "Probability", "Range", "StrictCard"]

Range = Annotated[tuple[float, float], Field(description="lowest and highest value")]
Probability = Annotated[float, Field(ge=0, le=1)]


class StrictCard(BaseModel):
    """A part of a card; unknown entries are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def digested(self):
        """Name and entries by which folders of work know a card, those of version 0.1."""
        held = {"kind" if name == "task" else name: value for name, value in self}
        return f"gammapy_asid.weights.card.{type(self).__name__}", held


class BandsCard(StrictCard):
    """Bands of a model: edges in GeV, resolution levels, nominal pixel size and extents in deg."""

    edges: tuple[float, ...]
    levels: tuple[int, ...]
    pixel_size: float = 0.1
    extents: tuple[float, ...] = ()


class Card(StrictCard):
    """What the cards of all tasks have in common; that of a task adds what its calibration is.

    Parameters
    ----------
    name : str
        Name of the model.
    task : str
        What the model is for: the name of its `~gammapy_asid.learning.task.Task`. Cards of version 0.1 call
        it ``kind``, or lack it if it is detection.
    version : str
        Version of the weights.
    architecture : dict
        Configuration that builds the network.
    bands : dict
        Band edges in GeV, resolution levels, nominal pixel size and extents in deg, see
        `~gammapy_asid.inputs.bands.Bands`.
    units : dict
        Units of inputs and outputs.
    psf_r68 : tuple of tuple of float
        Range of the 68 % containment radius of each band in deg.
    background : tuple of tuple of float
        Range of the known sky of each band in counts per pixel; empty in older cards.
    recipe : dict
        Training recipe.
    recipe_sha256 : str
        SHA-256 of the recipe.
    metrics : dict
        Figures measured on simulations not used in training.
    package_version : str
        Version of this package that trained the model.
    weights_sha256 : str
        SHA-256 of the weight file.
    """

    #: Values of entries that older cards lack: with these an entry does not count for the hash.
    later: ClassVar[dict[str, Any]] = {}

    name: str
    task: str
    version: str
    architecture: dict
    bands: BandsCard
    units: dict[str, str]
    psf_r68: tuple[Range, ...]
    background: tuple[Range, ...] = ()
    recipe: dict
    recipe_sha256: str
    metrics: dict
    package_version: str
    weights_sha256: str = ""

    @model_validator(mode="before")
    @classmethod
    def _task_by_its_older_name(cls, values):
        if isinstance(values, dict) and "kind" in values:
            values = {"task" if key == "kind" else key: value for key, value in values.items()}
        return values

    @property
    def kind(self) -> str:
        """The task, as version 0.1 calls it."""
        return self.task

    @property
    def sha256(self) -> str:
        """SHA-256 of the card itself, which results state; cards without later entries keep their hash."""
        values = self.model_dump(mode="json")
        values = {k: v for k, v in values.items() if k not in self.later or v != self.later[k]}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def to_bands(self) -> Bands:
        """Bands of the model (`~gammapy_asid.inputs.bands.Bands`)."""
        return Bands(**self.bands.model_dump())
