"""A room imports only from lower floors (CONTRIBUTING.md). Read from the source, so that lazy imports count too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "textmorph"

FLOORS = (
    ["errors", "fields", "files", "hashing", "memory", "precision", "latents", "images", "sheets"],
    ["download", "registry", "checkpoints", "jobs"],
    ["layers", "generators", "embedders", "mappers"],
    ["prompts", "losses", "edits", "hyperplanes", "canvases", "optimization"],
    ["inversion", "banks", "corpora"],
    ["methods"],
    ["editing"],
    ["evaluation"],
    ["cli", "web"],
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def python_files() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if "__pycache__" not in path.parts)


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def imported_modules(path: Path) -> Iterator[tuple[str, bool]]:
    """Absolute name of every imported module or imported name, and whether it is for types only."""
    package = ["textmorph", *path.relative_to(SOURCE).parts[:-1]]
    tree = ast.parse(path.read_text(), filename=str(path))
    for_types: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for_types |= {child for statement in node.body for child in ast.walk(statement)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node in for_types
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{module}.{alias.name}", node in for_types


def rooms_used(path: Path) -> set[str]:
    rooms = set()
    for module, _for_types in imported_modules(path):
        parts = module.split(".")
        if parts[0] == "textmorph" and len(parts) > 1 and parts[1] in FLOOR:
            rooms.add(parts[1])
    return rooms - {room_of(path)}


def test_a_room_imports_only_from_its_own_floor_and_below() -> None:
    faults = []
    for path in python_files():
        room, name = room_of(path), path.relative_to(SOURCE)
        if room == "__init__":
            continue  # the table of public names reaches everywhere, lazily
        if room not in FLOOR:
            faults.append(f"{name}: {room} stands on no floor; give it one here and in CONTRIBUTING.md")
            continue
        above = {used for used in rooms_used(path) if FLOOR[used] > FLOOR[room]}
        if above:
            faults.append(f"{name} (floor {FLOOR[room]}) imports from above: {sorted(above)}")
    assert not faults, "\n".join(faults)


def test_rooms_of_one_floor_do_not_import_each_other_in_a_circle() -> None:
    uses: dict[str, set[str]] = {}
    for path in python_files():
        if room_of(path) in FLOOR:
            uses.setdefault(room_of(path), set()).update(rooms_used(path))
    done: set[str] = set()

    def visit(room: str, way: tuple[str, ...]) -> None:
        assert room not in way, f"a circle: {' → '.join([*way, room])}"
        if room not in done:
            for used in sorted(uses.get(room, ())):
                visit(used, (*way, room))
            done.add(room)

    for room in sorted(uses):
        visit(room, ())


def test_methods_do_not_import_each_other() -> None:
    methods = {path.stem for path in (SOURCE / "methods").glob("*.py")} - {"__init__"}
    assert methods
    for path in (SOURCE / "methods").glob("*.py"):
        used = {module.split(".")[2] for module, _ in imported_modules(path) if module.startswith("textmorph.methods.")}
        assert not used & (methods - {path.stem}), path.name


def test_only_one_file_imports_ray() -> None:
    files = [p for p in python_files() if any(module.split(".")[0] == "ray" for module, _ in imported_modules(p))]
    assert len(files) <= 1, [str(path) for path in files]


def test_nothing_in_the_package_imports_what_stands_beside_it() -> None:
    outside = {"recipes", "benchmarks", "examples", "tests"}
    for path in python_files():
        assert not outside & {module.split(".")[0] for module, _ in imported_modules(path)}, path


def test_no_file_is_longer_than_500_lines() -> None:
    long = {str(path): lines for path in python_files() if (lines := len(path.read_text().splitlines())) > 500}
    assert not long


def test_no_file_is_called_utils() -> None:
    assert not [path for path in python_files() if path.stem in ("utils", "util", "helpers", "common", "misc")]


def test_the_page_for_contributors_names_every_room() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    missing = [room for room in FLOOR if f"`{room}.py`" not in page and f"`{room}/`" not in page]
    assert not missing


def test_loading_never_lets_a_mismatch_pass() -> None:
    """Never `strict=False` for weights, never an unrestricted unpickler (house rules; zip's strict is another)."""
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            words = {word.arg: ast.unparse(word.value) for word in node.keywords}
            where = f"{path}:{node.lineno}"
            assert not (called.endswith("load_state_dict") and words.get("strict") == "False"), where
            assert not (called == "torch.load" and words.get("weights_only") != "True"), where
            assert called not in ("pickle.load", "pickle.loads", "eval", "exec", "os.system"), where


def test_the_reader_of_imports_sees_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above would pass on nothing, were the reader blind."""
    monkeypatch.setattr(f"{__name__}.SOURCE", tmp_path)
    (tmp_path / "methods").mkdir()
    path = tmp_path / "methods" / "a.py"
    path.write_text(
        "import ray\nfrom ..images import resize\nfrom .. import edits\nfrom . import b\n"
        "def f():\n    from ..editing.editor import Editor\n    import textmorph.web.app\n"
    )
    assert {module for module, _ in imported_modules(path)} == {
        "ray",
        "textmorph.images.resize",
        "textmorph.edits",
        "textmorph.methods.b",
        "textmorph.editing.editor.Editor",
        "textmorph.web.app",
    }
    assert rooms_used(path) == {"images", "edits", "editing", "web"}
