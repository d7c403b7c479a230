# Licensed under a 3-clause BSD style license - see LICENSE
"""What a learned task is."""

from abc import ABC, abstractmethod
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from ..inputs.bands import Bands
from .card import Card as BaseCard
from .model_files import model_files
from .recipe import Recipe as BaseRecipe
from .registry import TASKS
from .seeds import VALIDATION
from .simulator import Simulator
from .stream import SimulatedBatches

__all__ = ["BaseTask", "FollowingTask", "Task"]

#: A file or a folder.
Place = str | Path


class BaseTask(ABC):
    """What all tasks have in common; a subclass with a ``name`` enters `TASKS`."""

    #: Name of the task, which recipes and cards state.
    name: ClassVar[str]
    #: Classes of its recipes, cards and trained models.
    Recipe: ClassVar[type[BaseRecipe]]
    Card: ClassVar[type[BaseCard]]
    Model: ClassVar[type]
    #: What the figures of `summary` are.
    summary_note: ClassVar[str] = "Figures of simulations that trained nothing."

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "name" in vars(cls):
            TASKS[cls.name] = cls

    def files(self, recipe: BaseRecipe, output: Place) -> list[Path]:
        """Weight file and card in the folder of the model.

        Parameters
        ----------
        recipe, output
            Recipe and folder.
        """
        return model_files(Path(output) / f"{recipe.name}.safetensors")

    def new_card(self, network: Any, recipe: BaseRecipe, bands: Bands, **fields: Any) -> BaseCard:
        """Card of a trained network.

        Parameters
        ----------
        network, recipe, bands
            Network with its ``config``, recipe, and bands of the training.
        **fields
            Entries of the card that are the task's own.
        """
        entries: dict[str, Any] = {
            "architecture": asdict(network.config),
            "bands": asdict(bands),
            "recipe": recipe.model_dump(mode="json"),
            "recipe_sha256": recipe.sha256,
        }
        own = version("gammapy-asid")
        return self.Card(
            name=recipe.name, task=self.name, version=own, package_version=own, **entries, **fields
        )

    def summary(self, card: Any) -> dict[str, Any]:
        """Figures for a list of models, by their heading.

        Parameters
        ----------
        card : `~gammapy_asid.learning.card.Card`
            Card of the model.
        """
        return {name: value for name, value in card.metrics.items() if not isinstance(value, dict)}


class Task(BaseTask):
    """Something that a network learns from a simulator.

    A subclass says what is simulated, which network sees it, what its loss is and how its model is
    calibrated. Training, checkpoints, release, cards and commands are the same for all.
    """

    #: Recipe for the instrument of a dataset, if there is one, and what is added to the name of the model.
    dataset_recipe: ClassVar[str] = "dataset"
    suffix: ClassVar[str] = ""

    @abstractmethod
    def simulator(self, recipe: Any, datasets: Any = None, settled: bool = False) -> Simulator:
        """What a recipe simulates.

        Parameters
        ----------
        recipe : `~gammapy_asid.learning.recipe.Recipe`
            Recipe; `settled` already, as that in a card, if `settled` says so.
        datasets : `~gammapy.datasets.Datasets`, optional
            Data whose instrument is simulated, in place of that of the recipe.

        Returns
        -------
        simulator : `~gammapy_asid.learning.simulator.Simulator`
            Simulator.
        """

    @abstractmethod
    def network(self, recipe: Any, bands: Bands) -> nn.Module:
        """Untrained network with a ``config`` that makes it.

        Parameters
        ----------
        recipe, bands
            Recipe, and the bands of its simulator.
        """

    @abstractmethod
    def batch(self, drawn: Any) -> tuple[tuple, Any]:
        """What the network learns from.

        Parameters
        ----------
        drawn : object
            What the simulator drew.

        Returns
        -------
        inputs : tuple
            Arguments of the network.
        target : object
            What `loss` compares with: tensors, or containers of them.
        """

    @abstractmethod
    def loss(self, output: Any, target: Any, recipe: Any) -> dict[str, Tensor]:
        """Loss and its parts.

        Parameters
        ----------
        output, target, recipe
            Result of `forward`, target of `batch`, and recipe.

        Returns
        -------
        parts : dict of `~torch.Tensor`
            ``loss``, which is minimised, and what is to be logged.
        """

    @abstractmethod
    def validate(self, network: nn.Module, drawn: list, recipe: Any) -> dict[str, float]:
        """Figures on which a training is watched.

        Parameters
        ----------
        network, drawn, recipe
            Network in evaluation mode, result of `validation`, and recipe.

        Returns
        -------
        metrics : dict
            Figures.
        """

    @abstractmethod
    def calibrate(self, network: nn.Module, simulator: Any, recipe: Any) -> dict[str, Any]:
        """What makes the model's numbers true, on simulations that trained nothing.

        Parameters
        ----------
        network, simulator, recipe
            Trained network in evaluation mode, and those of the training.

        Returns
        -------
        fields : dict
            Entries of the card that this task adds, and ``psf_r68``, ``background`` and ``metrics``.
        """

    def settled(self, recipe: Any, simulator: Any) -> BaseRecipe:
        """Recipe with what the simulator of a dataset settled; by default as it was.

        Parameters
        ----------
        recipe, simulator
            Argument and result of `simulator`.
        """
        return recipe

    def validation(self, simulator: Any, recipe: Any) -> list:
        """What a training is watched on; by default one batch.

        Parameters
        ----------
        simulator, recipe
            Those of the training.
        """
        return [simulator.draw(recipe.optimiser.batch_size, (VALIDATION, 0))]

    def kept(self, simulator: Any, recipe: Any, folder: Path) -> Any:
        """What `batches` draws from, if examples are kept in the folder of a training; else the simulator.

        Parameters
        ----------
        simulator, recipe, folder
            Of the training.
        """
        return simulator

    def batches(self, simulator: Any, recipe: Any, start: int) -> SimulatedBatches:
        """Batches of an epoch, see `~gammapy_asid.learning.stream.SimulatedBatches`.

        Parameters
        ----------
        simulator, recipe
            As above.
        start : int
            Number of the first one.
        """
        optimiser = recipe.optimiser
        stop = start + optimiser.batches_per_epoch
        return SimulatedBatches(self, simulator, optimiser.batch_size, stop, recipe.seed, start)

    def forward(self, network: nn.Module, inputs: tuple) -> Any:
        """Output of the network in full precision.

        Parameters
        ----------
        network, inputs
            Network and inputs.
        """
        return network(*inputs).float()

    def start(self, network: nn.Module, bands: Bands, model: Place) -> None:
        """Give an untrained network the weights of a trained model.

        Parameters
        ----------
        network, bands, model
            Network, changed in place, its bands, and the trained model.

        Raises
        ------
        ValueError
            If the model does not suit.
        """
        raise ValueError(f"A training for {self.name} starts from no other model: leave out 'start'")

    def turned(self, batch: tuple, turn: int) -> tuple:
        """Batch turned by a multiple of 90 deg, and mirrored from the fourth turn on; for ``reuse``.

        Parameters
        ----------
        batch : tuple
            Result of `batch`.
        turn : int
            From 1 to 7.
        """
        raise ValueError(f"What was drawn for {self.name} is used once: leave out 'reuse'")

    def folder(self, recipe: BaseRecipe, output: Place) -> Path:
        """Folder of the checkpoints of a training; by default that of the model itself.

        Parameters
        ----------
        recipe, output
            See `files`.
        """
        return Path(output)


class FollowingTask(BaseTask):
    """Something that is learned on top of the model of another task, with the same recipe."""

    #: Name of that task.
    after: ClassVar[str]

    @abstractmethod
    def follow(
        self, weights: Place, recipe: Any, simulator: Simulator, output: Place, progress: bool, device: Any
    ) -> None:
        """Train and release the model.

        Parameters
        ----------
        weights : path
            Of the other task's model; its own are written beside them.
        recipe, simulator
            Of that model.
        output : path
            Folder of what the training needs, in place of what it holds of others.
        progress, device
            See `~gammapy_asid.learning.run.train`.
        """
