import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mien.face.parsing import FACE_PARTS, FaceParser
from mien.types import InputError

# jonathandinu/face-parsing, config.json: id2label.
LABELS = """background skin nose eye_g l_eye r_eye l_brow r_brow l_ear r_ear mouth u_lip l_lip hair hat ear_r
neck_l neck cloth""".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    torch.manual_seed(0)
    config = SegformerConfig(
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
        id2label=dict(enumerate(LABELS)),
        label2id={name: i for i, name in enumerate(LABELS)},
    )
    place = tmp_path_factory.mktemp("parser")
    SegformerForSemanticSegmentation(config).save_pretrained(place)
    (place / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "do_normalize": True,
                "do_rescale": True,
                "do_resize": True,
                "image_mean": [0.485, 0.456, 0.406],
                "image_processor_type": "SegformerFeatureExtractor",
                "image_std": [0.229, 0.224, 0.225],
                "resample": 2,
                "rescale_factor": 0.00392156862745098,
                "size": {"height": 64, "width": 64},
            }
        )
    )
    return place


def test_mask_of_the_pictures_size(folder: Path) -> None:
    parser = FaceParser(folder)
    assert set(FACE_PARTS) < set(parser.labels)
    picture = Image.effect_noise((50, 70), 60).convert("RGB")
    found = parser.mask(picture)
    assert found.shape == (70, 50) and found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1
    everything = parser.mask(picture, LABELS)
    np.testing.assert_allclose(everything, 1, atol=1e-5)


def test_agrees_with_the_processor_of_transformers(folder: Path) -> None:
    from transformers import SegformerForSemanticSegmentation
    from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil

    picture = Image.effect_noise((90, 80), 60).convert("RGB")
    inputs = SegformerImageProcessorPil.from_pretrained(folder)(picture, return_tensors="pt")
    with torch.no_grad():
        logits = SegformerForSemanticSegmentation.from_pretrained(folder).eval()(**inputs).logits
    full = torch.nn.functional.interpolate(logits, size=(80, 90), mode="bilinear").softmax(1)[0]
    np.testing.assert_allclose(FaceParser(folder).probabilities(picture), full.numpy(), atol=2e-3)


def test_unknown_label_and_missing_model(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="whiskers"):
        FaceParser(folder).mask(Image.new("RGB", (8, 8)), ["whiskers"])
    with pytest.raises(InputError, match="cannot be loaded"):
        FaceParser(tmp_path)
