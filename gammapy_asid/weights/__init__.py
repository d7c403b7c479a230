# Licensed under a 3-clause BSD style license - see LICENSE
"""Trained models: weights, their cards and where they are."""

from .card import EnsembleCard, ModelCard, OperatingPoint
from .extension_card import ExtensionCard
from .io import load_card, load_state, save_model
from .registry import ensemble_path, find_model, list_models, model_files

__all__ = [
    "EnsembleCard",
    "ExtensionCard",
    "ModelCard",
    "OperatingPoint",
    "ensemble_path",
    "find_model",
    "list_models",
    "load_card",
    "load_state",
    "model_files",
    "save_model",
]
