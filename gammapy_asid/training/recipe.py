# Licensed under a 3-clause BSD style license - see LICENSE
"""Training recipes: everything that determines the weights, as YAML."""

import hashlib
import json
import os
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

__all__ = [
    "InstrumentRecipe",
    "OptimiserRecipe",
    "PlaneRecipe",
    "Recipe",
    "SourceRecipe",
    "StrictRecipe",
    "read_recipe",
]


class StrictRecipe(BaseModel):
    """Settings that admit no unknown entries."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def sha256(self):
        """Hash of the recipe, which the model card states."""
        settings = self.model_dump(mode="json")
        # Recipes without these settings are older, and keep their hash.
        later = {"plane": None, "start": None, "reuse": 1, "others": None}
        settings = {k: v for k, v in settings.items() if k not in later or v != later[k]}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


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
    e_min: float = 0.3
    e_max: float = 1000.0
    livetime: tuple[float, float] = (1.0, 16.0)
    pixel_size: tuple[float, float] = (0.08, 0.2)
    exposure: tuple[float, ...] | None = None
    native_pixel: float | None = None
    copies: int = 4
    weight: float = 1.0


class PlaneRecipe(StrictRecipe):
    """Fields of imaging telescopes near the Galactic plane.

    Parameters
    ----------
    fields : int
        Number of fields of random instruments and pointings.
    pixel_size : tuple of float
        Interval of the finest pixel size in deg.
    """

    fields: int = Field(36, ge=1)
    pixel_size: tuple[float, float] = (0.03, 0.055)


class OptimiserRecipe(StrictRecipe):
    """Length and step size of the training.

    Parameters
    ----------
    batch_size : int
        Patches in a batch.
    batches_per_epoch : int
        Batches between two validations.
    epochs : int
        Number of epochs.
    learning_rate : float
        Largest learning rate; rises over the first 5 % of a cycle and falls as a cosine.
    restarts : tuple of int
        Epochs at which a new cycle of the learning rate begins (Loshchilov & Hutter 2017, ICLR).
    weight_decay : float
        Decoupled weight decay of AdamW.
    ema_decay : float
        Decay of the running mean of the weights.
    precision : str
        Number format in the network's convolutions.
    """

    batch_size: int = 32
    batches_per_epoch: int = 250
    epochs: int = 40
    learning_rate: float = 2e-3
    restarts: tuple[int, ...] = ()
    weight_decay: float = 1e-3
    ema_decay: float = 0.999
    precision: Literal["32-true", "bf16-mixed"] = "bf16-mixed"


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

    patches: int = Field(24000, ge=8)
    members: int = Field(15, ge=2)
    width: int = 128
    batch_size: int = 256
    steps: int = 8000
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2


class Recipe(StrictRecipe):
    """Everything that determines the weights of a detection model.

    Parameters
    ----------
    name : str
        Name of the model.
    seed : int
        Seed of the simulation and of the initial weights.
    instruments : tuple of `InstrumentRecipe`
        LAT responses; empty if the instrument is that of a dataset.
    plane : `PlaneRecipe`, optional
        Fields of imaging telescopes, in place of the instruments.
    emission : str, optional
        File of an `~gammapy_asid.simulation.EmissionBank`; environment variables are
        expanded. By default the analytic emission.
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
    start : str, optional
        Model of the same widths whose weights the training begins with.
    reuse : int
        How often simulated patches are used, each time turned or mirrored otherwise.
    optimiser : `OptimiserRecipe`
        Length and step size.
    sources : `SourceRecipe`
        Ensembles for position and flux.
    """

    name: str
    seed: int = 0
    instruments: tuple[InstrumentRecipe, ...] = ()
    plane: PlaneRecipe | None = None
    emission: str | None = None
    background_share: float = Field(0.65, ge=0, le=1)
    patch_size: int = Field(64, ge=32, multiple_of=8)
    widths: tuple[int, ...] = (24, 48, 96, 128)
    validation_patches: int = 128
    calibration_patches: int = 4096
    start: str | None = None
    reuse: int = Field(1, ge=1, le=8)
    optimiser: OptimiserRecipe = OptimiserRecipe()
    sources: SourceRecipe = SourceRecipe()

    @property
    def emission_path(self):
        """Path of the emission bank with environment variables expanded, or None."""
        return None if self.emission is None else Path(os.path.expandvars(self.emission))


def read_recipe(path, kind=Recipe):
    """Read a recipe: a YAML file, or the name of one that comes with the package.

    Parameters
    ----------
    path : str or path
        File or name.
    kind : type
        `Recipe`, or `~gammapy_asid.training.extension_recipe.ExtensionRecipe`.

    Returns
    -------
    recipe : `Recipe`
        Validated recipe, of the kind asked for.

    Raises
    ------
    FileNotFoundError
        If there is no such file or shipped recipe.
    ValueError
        If the file is not a valid recipe.
    """
    shipped = Path(__file__).parent / "recipes"
    path = Path(path)
    if not path.exists() and (shipped / f"{path}.yaml").exists():
        path = shipped / f"{path}.yaml"
    if not path.exists():
        names = sorted(p.stem for p in shipped.glob("*.yaml"))
        raise FileNotFoundError(f"No recipe {str(path)!r}: give a YAML file or one of {', '.join(names)}")
    try:
        return kind(**(yaml.safe_load(path.read_text()) or {}))
    except (ValidationError, yaml.YAMLError, TypeError) as error:
        raise ValueError(f"{path} is not a valid recipe: {error}") from error
