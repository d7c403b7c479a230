# Licensed under a 3-clause BSD style license - see LICENSE
"""List of the programs: ``python -m benchmarks``."""

import ast
from pathlib import Path

__all__ = ["programs"]

ROOT = Path(__file__).parent


def programs():
    """Programs, read from their source so that none is imported.

    Returns
    -------
    programs : dict of tuple
        First line of the docstring and what the program needs, by the name of the module.
    """
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "NEEDS":
                name = ".".join((ROOT.name, *path.relative_to(ROOT).with_suffix("").parts))
                found[name] = ast.get_docstring(tree).splitlines()[0], ast.literal_eval(node.value)
    return found


def main():
    """Print the programs by folder."""
    folder = None
    for name, (line, needs) in programs().items():
        path = ROOT.joinpath(*name.split(".")[1:])
        if path.parent != folder:
            folder = path.parent
            print(f"\n{ast.get_docstring(ast.parse((folder / '__init__.py').read_text()))}\n")
        print(f"python -m {name}\n    {line}\n    Needs: {needs}")
    print("\nData are in the folder of --data or GAMMAPY_ASID_DATA; times are those of two cores.")


if __name__ == "__main__":
    main()
