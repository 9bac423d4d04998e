"""The plan of the house holds: imports go down, rooms are small, and coming in costs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "mien"
ROOMS = sorted(SOURCE.rglob("*.py"))
OUTSIDE = sorted(path for name in ("tests", "benchmarks", "examples") for path in (ROOT / name).rglob("*.py"))
LONGEST = 400

# Floors of docs/architecture.md. A room may import rooms of its own floor and of those below.
FLOORS = {
    "cli": 5, "studio": 5,
    "pipelines": 4, "training": 4,
    "data": 3, "metrics": 3, "backbones": 3, "expressions": 3,
    "models": 2, "encoders": 2,
    "diffusion": 1, "face": 1,
    "types": 0, "weights": 0, "provenance": 0, "images": 0, "files": 0, "sheets": 0, "tables": 0,
}  # fmt: skip
HEAVY = (
    "torch",
    "diffusers",
    "transformers",
    "accelerate",
    "numpy",
    "scipy",
    "PIL",
    "dlib",
    "mediapipe",
    "pandas",
)


def room(path: Path) -> str:
    """The first name below `mien` ("" for the package itself)."""
    first = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imports(path: Path) -> set[str]:
    """Every module that a file imports anywhere in it, type-checking blocks aside, as dotted names."""
    found: set[str] = set()
    skipped: set[int] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            skipped |= {id(below) for statement in node.body for below in ast.walk(statement)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the whole name"
            assert node.module is not None
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_room_has_a_floor() -> None:
    assert len(ROOMS) > 10
    assert {room(path) for path in ROOMS} - {""} <= FLOORS.keys()


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_imports_only_go_down(path: Path) -> None:
    if room(path) == "":
        return  # the package's door: mien.load opens a pipeline when it is called
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "mien" and len(parts) > 1 and parts[1] in FLOORS:
            assert FLOORS[parts[1]] <= FLOORS[room(path)], f"{path.name} imports {name}, a floor up"


def test_no_rooms_import_each_other_in_a_circle() -> None:
    """Lazy imports count: a circle is two rooms that cannot be understood, or tested, one after the other."""
    names = {path: "mien." + ".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in ROOMS}
    known = set(names.values())
    below = {name: imports(path) & known - {name} for path, name in names.items() if path.stem != "__init__"}
    while free := [name for name, others in below.items() if not others & below.keys()]:
        for name in free:
            del below[name]
    assert not below, f"these import each other, or what does: {sorted(below)}"


@pytest.mark.parametrize("path", sorted((SOURCE / "diffusion").glob("*.py")), ids=lambda path: path.name)
def test_diffusion_imports_torch_and_types_alone(path: Path) -> None:
    for name in imports(path):
        top = name.split(".")[0]
        allowed = top == "torch" or top in sys.stdlib_module_names
        allowed = allowed or name.startswith(("mien.types", "mien.diffusion"))
        assert allowed or name == "mien", f"{path.name} imports {name}"


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_rooms_are_small_and_say_what_they_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST, f"{path.name} is two rooms"
    assert path.name != "utils.py"
    assert not text.strip() or ast.get_docstring(ast.parse(text)), f"{path.name} does not say what it is"


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_surrounds_the_house_is_small_too(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST, f"{path.name} is two files"
    assert path.name != "utils.py"


# The only rooms that may name pickle: two read foreign weights, and mean its errors; one sends our own objects to
# workers that it started itself.
PICKLES = {"models/adapter_files.py", "encoders/arcface.py", "data/spread.py"}


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_files_of_strangers_are_never_unpickled(path: Path) -> None:
    name = path.relative_to(SOURCE).as_posix()
    tops = {module.split(".")[0] for module in imports(path)}
    assert tops.isdisjoint({"dill", "cloudpickle", "joblib", "marshal", "shelve"})
    assert "pickle" not in tops or name in PICKLES
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        assert called not in ("eval", "exec", "yaml.load", "os.system"), called
        assert called not in ("pickle.load", "pickle.loads") or name == "data/spread.py", called
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        assert called != "torch.load" or given.get("weights_only") == "True", ast.unparse(node)
        assert given.get("allow_pickle", "False") == "False", ast.unparse(node)


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_no_room_needs_torchvision(path: Path) -> None:
    assert "torchvision" not in {module.split(".")[0] for module in imports(path)}


def loaded_by(code: str) -> set[str]:
    """Top-level modules in memory after running `code` in a fresh interpreter."""
    script = f"import sys, contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):\n    {code}\n"
    script += "print(' '.join({name.split('.')[0] for name in sys.modules}))"
    return set(
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout.split()
    )


@pytest.mark.parametrize(
    "code",
    [
        "import mien",
        "import mien.cli.main",
        "from mien.cli.main import app; app(['--help'], standalone_mode=False)",
        "from mien.cli.main import app; app(['generate', '--help'], standalone_mode=False)",
    ],
)
def test_coming_in_loads_nothing_heavy(code: str) -> None:
    assert loaded_by(code).isdisjoint(HEAVY)
