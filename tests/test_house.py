# Licensed under a 3-clause BSD style license - see LICENSE
"""The package keeps its order: nothing imports upward, nothing grows too large to be read."""

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYPROJECT = ROOT / "pyproject.toml"
MODULES = sorted(ROOT.glob("gammapy_asid/**/*.py"))

#: Lines of a module, and lines of code of a function. How complex a function may be is a rule of ruff.
MODULE_LINES, FUNCTION_LINES = 300, 60


def test_imports():
    # In a process of its own: it silences the loggers of the one it runs in
    check = f"lint_imports({str(PYPROJECT)!r}, no_cache=True)"
    code = f"from importlinter.cli import lint_imports; raise SystemExit({check})"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def code_lines(function, lines):
    """Lines of a function without its docstring, comments and empty lines."""
    first = function.body[0]
    is_doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    doc = range(first.lineno, first.end_lineno + 1) if is_doc else ()
    own = (lines[n - 1].strip() for n in range(function.lineno, function.end_lineno + 1) if n not in doc)
    return sum(bool(line) and not line.startswith("#") for line in own)


def test_sizes():
    large = {}
    for path in MODULES:
        name, lines = path.relative_to(ROOT), path.read_text().splitlines()
        functions = [n for n in ast.walk(ast.parse("\n".join(lines))) if isinstance(n, ast.FunctionDef)]
        sizes = {f"{name} {f.name}": code_lines(f, lines) for f in functions}
        large |= {function: size for function, size in sizes.items() if size > FUNCTION_LINES}
        large |= {str(name): len(lines)} if len(lines) > MODULE_LINES else {}
    assert large == {}


def public_functions(module):
    """Functions and methods of a module; methods that only fill in those of a base are described there."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(value):
            yield value
        elif inspect.isclass(value):
            for own in vars(value).values():
                own = getattr(own, "__func__", own)
                is_new = inspect.isfunction(own) and not any(
                    hasattr(base, own.__name__) for base in value.__mro__[1:]
                )
                if is_new and not own.__name__.startswith("_"):
                    yield own


def test_parameters_are_described():
    missing = []
    for path in MODULES:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for function in public_functions(import_module(name)):
            takes = set(inspect.signature(function).parameters) - {"self", "cls"}
            if takes and "Parameters\n" not in (function.__doc__ or ""):
                missing.append(f"{name}.{function.__qualname__}")
    assert missing == []
