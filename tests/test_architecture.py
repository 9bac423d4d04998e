"""The layers of docs/architecture.md hold: no import of a higher layer, small modules, and a quick `import mien`."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "mien"
MODULES = sorted(SOURCE.rglob("*.py"))
FACTORY = sorted((ROOT / "factory").rglob("*.py"))
OUTSIDE = sorted(path for name in ("tests", "benchmarks", "examples") for path in (ROOT / name).rglob("*.py"))
LONGEST = 400

# Layers of docs/architecture.md. A module may import modules of its own layer and of those below.
LAYERS = {
    "__main__": 8,
    "cli": 7, "studio": 7,
    "making": 6,
    "pipelines": 5, "training": 5,
    "data": 4, "metrics": 4, "backbones": 4, "preflight": 4, "expressions": 4,
    "models": 3, "encoders": 3,
    "diffusion": 2, "face": 2, "warping": 2,
    "weights": 1, "provenance": 1,
    "errors": 0, "types": 0, "images": 0, "files": 0, "sheets": 0, "pixels": 0, "tables": 0, "spread": 0,
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


def package(path: Path) -> str:
    """The first name below `mien` ("" for the package itself)."""
    first = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports anywhere in it, type-checking blocks aside, as dotted names."""
    found: set[str] = set()
    skipped: set[int] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            skipped |= {id(below) for statement in node.body for below in ast.walk(statement)}
    for node in ast.walk(parsed(path)):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the whole name"
            assert node.module is not None
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def test_every_module_has_a_layer() -> None:
    assert len(MODULES) > 10
    assert {package(path) for path in MODULES} - {""} <= LAYERS.keys()


def where(path: Path) -> str:
    """A file's path in the checkout."""
    return path.relative_to(ROOT).as_posix()


def test_imports_only_go_down() -> None:
    wrong = []
    for path in MODULES:
        if package(path) == "":
            continue  # mien.load opens a pipeline when it is called
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "mien" and len(parts) > 1 and LAYERS.get(parts[1], 0) > LAYERS[package(path)]:
                wrong.append(f"{where(path)} imports {name}, of a higher layer")
    assert not wrong


def test_neither_front_end_knows_the_other() -> None:
    ends = ("cli", "studio")
    wrong = [
        where(path)
        for path in MODULES
        for name in imports(path)
        if package(path) in ends and name.startswith(f"mien.{ends[1 - ends.index(package(path))]}.")
    ]
    # `mien studio` starts it
    assert set(wrong) <= {"src/mien/cli/studio.py"}


def test_what_is_installed_never_imports_what_made_the_models() -> None:
    tops = {where(path): {name.split(".")[0] for name in imports(path)} for path in MODULES}
    wrong = [path for path, found in tops.items() if found & {"factory", "benchmarks", "tests"}]
    assert not wrong and any("mien" in found for found in tops.values())


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Lazy imports count: modules in a circle cannot be understood, or tested, one after the other."""
    names = {path: "mien." + ".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in MODULES}
    known = set(names.values())
    below = {name: imports(path) & known - {name} for path, name in names.items() if path.stem != "__init__"}
    while free := [name for name, others in below.items() if not others & below.keys()]:
        for name in free:
            del below[name]
    assert not below, f"these import each other, or what does: {sorted(below)}"


def test_diffusion_imports_torch_and_types_alone() -> None:
    allowed = {"torch", "mien", *sys.stdlib_module_names}
    for path in (SOURCE / "diffusion").glob("*.py"):
        for name in imports(path):
            own = name.split(".")[0] != "mien" or name.startswith(("mien.types", "mien.diffusion"))
            assert name.split(".")[0] in allowed and (own or name == "mien"), f"{path.name} imports {name}"


def test_modules_are_small_and_have_a_docstring() -> None:
    long, silent = [], []
    for path in (*MODULES, *FACTORY, *OUTSIDE):
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > LONGEST or path.name == "utils.py":
            long.append(where(path))
        if path not in OUTSIDE and text.strip() and not ast.get_docstring(parsed(path)):
            silent.append(where(path))
    assert not long, "these are two files each"
    assert not silent, "these do not say what they are"


# The only modules that may name pickle: two read foreign weights, and mean its errors; one sends our own objects to
# workers that it started itself.
PICKLES = {"models/adapter_files.py", "encoders/arcface.py", "spread.py"}


def unsafe(path: Path) -> Iterable[str]:
    """What in a file could run what a stranger's file holds."""
    name = path.relative_to(SOURCE).as_posix()
    tops = {module.split(".")[0] for module in imports(path)}
    yield from tops & {"dill", "cloudpickle", "joblib", "marshal", "shelve"}
    if name not in PICKLES:
        yield from tops & {"pickle"}
    for node in ast.walk(parsed(path)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if (
            called in ("eval", "exec", "yaml.load", "os.system")
            or (called in ("pickle.load", "pickle.loads") and name != "spread.py")
            or (called == "torch.load" and given.get("weights_only") != "True")
            or given.get("allow_pickle", "False") != "False"
        ):
            yield ast.unparse(node)


def test_files_of_strangers_are_never_unpickled() -> None:
    wrong = {where(path): found for path in MODULES if (found := list(unsafe(path)))}
    assert not wrong


def test_no_module_needs_torchvision() -> None:
    assert not [
        where(path) for path in MODULES if "torchvision" in {name.split(".")[0] for name in imports(path)}
    ]


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
def test_importing_loads_nothing_heavy(code: str) -> None:
    assert loaded_by(code).isdisjoint(HEAVY)
