# Licensed under a 3-clause BSD style license - see LICENSE
"""Estimators and catalogue are in Gammapy's registries, and cost nothing before they are used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gammapy_asid

HEAVY = {"torch", "gammapy", "astropy", "numpy", "scipy", "pydantic", "matplotlib"}

READ = """
from gammapy.catalog import CATALOG_REGISTRY
from gammapy.estimators import ESTIMATOR_REGISTRY
assert "torch" not in sys.modules
assert ESTIMATOR_REGISTRY.get_cls("DLSourceDetector").__name__ == "DLSourceDetector"
assert CATALOG_REGISTRY.get_cls("asid").__name__ == "SourceCatalogASID"
names = [estimator.__name__ for estimator in ESTIMATOR_REGISTRY]
tables = {"OpticalSources", "SourceClasses", "SourceExtensions", "SourceFluxes", "SourceLightCurves"}
others = tables | {"Candidates", "classify_table", "__version__"}
assert set(gammapy_asid.__all__) - set(names) == others
assert len(set(names)) == len(names)
assert type(ESTIMATOR_REGISTRY) is type(CATALOG_REGISTRY) is Registry
assert "DLFluxEstimator" in str(ESTIMATOR_REGISTRY)
"""


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("first", ["gammapy_asid", "gammapy.estimators, gammapy.catalog, gammapy_asid"])
def test_registries(first):
    run(f"import sys, {first}\nfrom gammapy.utils.registry import Registry\n{READ}")


def test_import_is_light():
    assert not HEAVY & set(run("import sys, gammapy_asid; print(*sys.modules)").split())


def test_public_names():
    from importlib.metadata import version

    for name in gammapy_asid.__all__:
        assert getattr(gammapy_asid, name) is not None
    assert set(gammapy_asid.__all__) <= set(dir(gammapy_asid))
    assert gammapy_asid.__version__ == version("gammapy-asid")
    assert gammapy_asid.plots.plot_field.__module__ == "gammapy_asid.display.field"
    for name in ("nothing", "_nothing"):
        with pytest.raises(AttributeError, match=f"'gammapy_asid' has no attribute '{name}'"):
            getattr(gammapy_asid, name)


def test_type_checkers_see_the_public_names():
    tree = ast.parse(Path(gammapy_asid.__file__).read_text())
    imports = next(node for node in tree.body if isinstance(node, ast.If)).body
    assert {node.names[0].name: node.module for node in imports} == gammapy_asid.PLACES
