from __future__ import annotations

import pytest
import torch

from benchmarks.photo_engine import main, markdown, spreads, summary
from benchmarks.photo_floors import NETWORKS
from benchmarks.photo_scenes import ROOT
from mien.types import InputError

GOOD = {"found": 1.0, "exp": 0.02, "exp_before": 0.1, "lms": 0.2, "lms_before": 0.4, "id_distance": 0.2}
GOOD |= {"same_person": 1.0, "detail": 1.0, "seam": 1.0, "colour": 0.1, "gain": 0.3, "toothy": 1.0}
OTHER = GOOD | {"exp": 0.06, "gain": 0.1, "toothy": 0.0, "same_person": 0.0}


def test_ratios_are_mean_over_mean_and_no_face_fails_every_share() -> None:
    table = summary([GOOD, OTHER, {"found": 0.0}])
    assert table["Exp ÷ no control"].value == pytest.approx(0.4)
    assert table["gain toward the truth"].value == pytest.approx(0.2)
    assert table["gain, teeth showing"].value == pytest.approx(0.3)
    assert table["the same person (dlib < 0.6)"].value == pytest.approx(1 / 3)
    assert table["a face is found"].value == pytest.approx(2 / 3)
    assert "nearer to the reference's person" not in table


def test_the_table_has_a_column_for_each_engine() -> None:
    text = markdown(
        {"own": {"photo": [GOOD] * 3, "diffusion": [OTHER, {"found": 0.0}]}, "mead": {"photo": [GOOD]}}
    )
    assert "|  | a face is found | 100% | 50% [" in text
    assert "|  | the same person (dlib < 0.6) | 100% | 0% |" in text
    assert "| mead (1) | Exp ÷ no control | 0.20 |  |" in text
    assert "| detail | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 |" in spreads({"own": {"photo": [GOOD]}}, {})


def test_nothing_found_is_a_table_too() -> None:
    assert summary([{"found": 0.0}])["a face is found"].value == 0
    assert "nan" in spreads({"own": {"photo": []}}, {})


def test_sheets_of_people_stay_outside_of_the_repository() -> None:
    with pytest.raises(InputError, match="lies in the repository"):
        main(["--out", str(ROOT / "runs")])


@pytest.mark.parametrize(
    ("name", "parts", "millions"),
    [
        ("first-order-motion, 256 px", ("keypoints",), 14.2),
        ("first-order-motion, 256 px", ("motion", "encoder", "decoder"), 45.6),
        ("LivePortrait, 512 px", ("first", "middle", "up", "last"), 55.4),
    ],
)
def test_networks_have_the_published_sizes(name: str, parts: tuple[str, ...], millions: float) -> None:
    with torch.device("meta"):
        network = NETWORKS[name]()
    count = sum(p.numel() for part in parts for p in getattr(network, part).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.2)
