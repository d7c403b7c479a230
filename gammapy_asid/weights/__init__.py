# Licensed under a 3-clause BSD style license - see LICENSE
"""Trained models: weights, their cards and where they are."""

from .card import ModelCard, OperatingPoint
from .io import load_card, load_state, save_model
from .registry import find_model, list_models

__all__ = [
    "ModelCard",
    "OperatingPoint",
    "find_model",
    "list_models",
    "load_card",
    "load_state",
    "save_model",
]
