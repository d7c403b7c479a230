# Licensed under a 3-clause BSD style license - see LICENSE
"""Training recipes: everything that determines the weights, as YAML."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ..plain_yaml import read_yaml

__all__ = [
    "InstrumentRecipe",
    "OptimiserRecipe",
    "PlaneRecipe",
    "Recipe",
    "SourceRecipe",
    "StrictRecipe",
    "model_name",
    "read_recipe",
]


def _checked_name(name):
    """Name of a model, which names its files: one part of a path, of common characters."""
    if not re.fullmatch(r"\w([\w.+ -]*[\w+-])?", name) or len(name.encode()) > LONGEST_NAME:
        raise ValueError(
            f"a name has letters, digits, and inside . _ + - and blanks, at most {LONGEST_NAME} bytes, "
            f"got {name[:200]!r}"
        )
    return name


def model_name(path):
    """Name of a model for the instrument of a dataset.

    Parameters
    ----------
    path : str or path
        File of the dataset.
    """
    stem = re.sub(r"[^\w+-]+", "-", Path(path).name.lstrip(".").split(".")[0]).strip("-")
    return stem.encode()[: LONGEST_NAME - 20].decode(errors="ignore") or "dataset"


def _rising(interval):
    if not 0 < interval[0] <= interval[1]:
        raise ValueError(f"an interval goes from a number above 0 to one that is not smaller, got {interval}")
    return interval


#: Longest name of a model in bytes, as its files have suffixes.
LONGEST_NAME = 100
Name = Annotated[str, AfterValidator(_checked_name)]
#: Seeds, to which those of calibrations are added.
Seed = Annotated[int, Field(ge=0, lt=2**31)]
#: Counts of what must fit into a memory, and of what takes time only.
Count = Annotated[int, Field(ge=1, le=10**5)]
LargeCount = Annotated[int, Field(ge=1, le=10**8)]
Positive = Annotated[float, Field(gt=0)]
Interval = Annotated[tuple[float, float], AfterValidator(_rising)]
#: Channels of a network on its levels.
Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=1, max_length=8)]


class StrictRecipe(BaseModel):
    """Settings that admit no unknown entries, and no number that is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

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

    batch_size: int = Field(32, ge=1, le=4096)
    batches_per_epoch: Count = 250
    epochs: Count = 40
    learning_rate: float = Field(2e-3, gt=0, le=10)
    restarts: Annotated[tuple[Count, ...], Field(max_length=1000)] = ()
    weight_decay: float = Field(1e-3, ge=0, le=10)
    ema_decay: float = Field(0.999, ge=0, lt=1)
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

    patches: int = Field(24000, ge=8, le=10**8)
    members: int = Field(15, ge=2, le=1000)
    width: int = Field(128, ge=1, le=4096)
    batch_size: int = Field(256, ge=1, le=65536)
    steps: LargeCount = 8000
    learning_rate: float = Field(2e-3, gt=0, le=10)
    weight_decay: float = Field(1e-2, ge=0, le=10)


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

    name: Name
    seed: Seed = 0
    instruments: Annotated[tuple[InstrumentRecipe, ...], Field(max_length=1000)] = ()
    plane: PlaneRecipe | None = None
    emission: str | None = None
    background_share: float = Field(0.65, ge=0, le=1)
    patch_size: int = Field(64, ge=32, le=1024, multiple_of=8)
    widths: Widths = (24, 48, 96, 128)
    validation_patches: Count = 128
    calibration_patches: LargeCount = 4096
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
    names = sorted(p.stem for p in shipped.glob("*.yaml"))
    # A folder of that name is what a training may have left
    if str(path) in names and not Path(path).is_file():
        path = shipped / f"{path}.yaml"
    try:
        content = read_yaml(path, "recipe")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"No recipe {str(path)!r}: give a YAML file or one of {', '.join(names)}"
        ) from None
    try:
        return kind(**(content or {}))
    except (ValidationError, TypeError) as error:
        raise ValueError(f"{path} is not a valid recipe: {error}") from error
