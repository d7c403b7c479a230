# Licensed under a 3-clause BSD style license - see LICENSE
"""Lists of sources: candidates, their columns, models and catalogue, and their counterparts."""

from .association import associate, association_probability, false_match_rate
from .candidates import Candidates
from .catalog_table import candidate_table, catalog_table, write_catalog
from .classes import SourceClasses
from .columns import (
    ASSOCIATION_COLUMNS,
    BAND_COLUMNS,
    CLASS_COLUMNS,
    CLASSES,
    COLUMNS,
    EXTENSION_COLUMNS,
    FIT_COLUMNS,
    FLUX_COLUMNS,
    CandidateFlag,
    Column,
)
from .counterparts import Counterparts, match_counterparts
from .extensions import SourceExtensions
from .fluxes import SourceFluxes
from .names import iau_names
from .source_catalog import SourceCatalogASID, SourceCatalogObjectASID
from .source_models import START_SPECTRUM, bounded_spectrum, extended_model

__all__ = [
    "ASSOCIATION_COLUMNS",
    "BAND_COLUMNS",
    "CLASSES",
    "CLASS_COLUMNS",
    "COLUMNS",
    "EXTENSION_COLUMNS",
    "FIT_COLUMNS",
    "FLUX_COLUMNS",
    "START_SPECTRUM",
    "CandidateFlag",
    "Candidates",
    "Column",
    "Counterparts",
    "SourceCatalogASID",
    "SourceCatalogObjectASID",
    "SourceClasses",
    "SourceExtensions",
    "SourceFluxes",
    "associate",
    "association_probability",
    "bounded_spectrum",
    "candidate_table",
    "catalog_table",
    "extended_model",
    "false_match_rate",
    "iau_names",
    "match_counterparts",
    "write_catalog",
]
