# Licensed under a 3-clause BSD style license - see LICENSE
"""The documentation: its names, links, pictures, code and the numbers of its front page."""

import ast
import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import gammapy_asid

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
front_page = pytest.importorskip("benchmarks.front_page")

PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("user/*.md")])
TUTORIALS = sorted((ROOT / "tutorials").glob("*.py"))
SOURCES = sorted((ROOT / "gammapy_asid").rglob("*.py"))
#: Characters of a line of code that fit the page.
WIDTH = 88
#: Pages whose text users do not read for code: decisions of developers.
PROSE = {"design.md"}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"`~?(gammapy_asid(?:\.\w+)+)`")
LINK = re.compile(r"(?<!`)\[[^\]\n]*\]\(([^)\s]+)\)")
PICTURE = re.compile(r"!\[([^\]]+)\]\(([^)\s]+)\)")


def blocks(language):
    """Code of the pages, as pairs of a page and its text."""
    return [
        (path, text)
        for path in PAGES
        if path.name not in PROSE
        for found, text in BLOCK.findall(path.read_text())
        if found == language
    ]


def resolve(name):
    """Object of a name, imported as far as its modules go."""
    parts, module = name.split("."), None
    for number in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:number]))
        except ModuleNotFoundError:
            continue
        break
    for part in parts[number:]:
        fields = getattr(module, "__dataclass_fields__", {}) | getattr(module, "model_fields", {})
        module = fields[part] if part in fields else getattr(module, part)
    return module


def anchors(path):
    """Anchors of the headings of a page, as MyST makes them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def words_before_first_picture(path):
    """Words that are read before the first picture."""
    return path.read_text().split("![")[0].split()


def numbers(text):
    """Numbers with a point, without what is given beside them."""
    return set(re.findall(r"(?<![\w.])\d*\.\d+", text))


def test_names_lead_somewhere():
    texts = {path: path.read_text() for path in [*PAGES, *TUTORIALS, *SOURCES]}
    wrong = []
    for path, text in texts.items():
        for name in sorted(set(NAME.findall(text))):
            try:
                resolve(name)
            except (AttributeError, ModuleNotFoundError, KeyError):
                wrong.append(f"{path.relative_to(ROOT)}: {name}")
    assert not wrong
    assert sum(len(NAME.findall(text)) for text in texts.values()) > 500


def test_api_page_lists_each_name_once():
    text = (DOCS / "api.md").read_text()
    listed = re.findall(r"^   (gammapy_asid\.\S+)$", text, re.MULTILINE)
    assert len(listed) == len(set(listed)) > 150
    for name in listed:
        resolve(name)
    public = {f"gammapy_asid.{name}" for name in gammapy_asid.__all__} - {"gammapy_asid.__version__"}
    assert public <= set(listed)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_within_lead_somewhere(path):
    for target in LINK.findall(re.sub(BLOCK, "", path.read_text())):
        if re.match(r"\w+:", target) or "auto_tutorials/" in target:
            continue
        page, _, anchor = target.partition("#")
        file = path if not page else (path.parent / page).resolve()
        if file.suffix != ".png" and not file.suffix:
            file = file.with_suffix(".md")
        assert file.is_file(), target
        assert not anchor or anchor in anchors(file), target


def test_links_to_tutorials_lead_somewhere():
    names = {path.stem for path in TUTORIALS} | {"index"}
    found = [name for path in PAGES for name in re.findall(r"auto_tutorials/(\w+)", path.read_text())]
    assert found and set(found) <= names


@pytest.mark.parametrize("path", sorted(DOCS.glob("user/*.md")), ids=lambda path: path.stem)
def test_user_page_has_a_picture(path):
    if path.stem == "index":
        return
    pictures = PICTURE.findall(path.read_text())
    assert pictures
    # What a picture shows is said, too, for who does not see it
    assert all(len(text.split()) > 3 for text, _ in pictures)


def test_pictures_are_small_and_used():
    text = "".join(path.read_text() for path in [*PAGES, ROOT / "README.md"])
    for path in DOCS.glob("images/*.png"):
        assert path.stat().st_size < 150_000, path
        assert path.name in text, path


def test_code_fits_the_page():
    long = [
        f"{path.name}: {line}"
        for language in ("python", "bash", "yaml", "text")
        for path, text in blocks(language)
        for line in text.splitlines()
        if len(line) > WIDTH
    ]
    long += [
        f"{path.name}: {line}"
        for path in TUTORIALS
        for line in path.read_text().splitlines()
        if len(line) > WIDTH
    ]
    assert not long


def test_python_of_the_pages_can_be_parsed_and_imported():
    found = blocks("python")
    assert len(found) > 40
    for path, text in found:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gammapy_asid"):
                for alias in node.names:
                    assert resolve(f"{node.module}.{alias.name}") is not None, path


def test_examples_of_docstrings_run():
    names = [module.name for module in pkgutil.walk_packages(gammapy_asid.__path__, prefix="gammapy_asid.")]
    with_examples = [
        name
        for name in names
        if ">>>" in Path(importlib.util.find_spec(name).origin).read_text(errors="ignore")
    ]
    assert with_examples
    results = [doctest.testmod(importlib.import_module(name)) for name in with_examples]
    assert sum(result.attempted for result in results) > 0
    assert not sum(result.failed for result in results)


def test_first_steps_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for path, text in blocks("python"):
        if path.stem == "first_steps":
            exec(compile(text, path.name, "exec"), names)
    # What the page promises: a list of probable sources with fluxes, kept in a file
    candidates = names["candidates"]
    assert len(candidates) > 5 and candidates.table["score"].min() >= 0.5
    assert (candidates.table["flux"] > 0).all() and (tmp_path / "candidates.fits").is_file()
    assert len(names["dataset"].models) == len(candidates)


def test_newcomer_reads_little_before_the_first_picture():
    assert len(words_before_first_picture(DOCS / "benchmarks.md")) <= 60


def test_numbers_of_the_front_page_are_those_of_its_details():
    details = "".join(path.read_text() for path in DOCS.glob("benchmarks_*.md"))
    known = numbers(details)
    # Shares are printed as percentages here
    percent = {f"{100 * float(number):.1f}" for number in known if float(number) <= 1}
    front = re.sub(r"\(https?:[^)]*\)", "", (DOCS / "benchmarks.md").read_text())
    assert numbers(front) - known - percent <= {"0.5"}


def test_pictures_of_the_front_page_are_drawn_from_its_details():
    figures = front_page.figures(DOCS)
    text = (DOCS / "benchmarks.md").read_text()
    assert [f"images/{name}.png" in text for name in figures] == [True] * 5
    tables = front_page.read_tables(DOCS / "benchmarks_detection.md")
    assert front_page.value(tables, "R", case="background true", P="0.95") == "0.608"
    with pytest.raises(LookupError, match="0 cells"):
        front_page.value(tables, "R", case="no such case")


@pytest.mark.parametrize(
    ("page", "column", "wanted", "stated"),
    [
        ("generative", "generated", {"first": "area of the classifier"}, "{}"),
        ("generative", "log-normal", {"first": "area of the classifier"}, "log-normal {}"),
        ("gps", "all above 5 sigma, of 152", {"first": "network"}, "{}"),
        ("gps", "all above 5 sigma, of 152", {"first": "TS map, 0.2°"}, "TS map {}"),
        ("optical", "F1", {"first": "**gammapy_asid, 4 rounds, SDSS's PSF**"}, "{}"),
        ("optical", "F1", {"first": "crowdsource"}, "crowdsource {}"),
    ],
)
def test_table_of_other_tasks_is_that_of_its_details(page, column, wanted, stated):
    cell = front_page.value(front_page.read_tables(DOCS / f"benchmarks_{page}.md"), column, **wanted)
    number = cell.replace("*", "").split()[0]
    rows = [
        line for line in (DOCS / "benchmarks.md").read_text().splitlines() if f"benchmarks_{page}.md" in line
    ]
    assert any(f"| {stated.format(number)}" in row for row in rows)
