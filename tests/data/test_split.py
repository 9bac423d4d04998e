from __future__ import annotations

import hashlib

import pytest

from mien.data.split import is_held_out, split_key


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Aaron_Eckhart_0001.jpg", "Aaron_Eckhart"),
        ("lfw/Aaron_Eckhart_0012.png", "Aaron_Eckhart"),
        ("Avinash_18.jpg", "Avinash"),
        ("18_0_0_20170110231703804.jpg", "18_0_0_20170110231703804.jpg"),
        ("39_1_20170116174525125.jpg", "39_1_20170116174525125.jpg"),
        ("17.jpg", "17.jpg"),
        ("portrait.jpg", "portrait.jpg"),
    ],
)
def test_a_person_is_one_key_and_any_other_file_its_own(name: str, key: str) -> None:
    assert split_key(name) == key


def test_it_is_the_hash_that_decides_and_never_changes() -> None:
    names = [f"{i}.jpg" for i in range(4000)]
    chosen = [name for name in names if is_held_out(name)]
    assert chosen == [n for n in names if int(hashlib.sha256(n.encode()).hexdigest(), 16) % 20 == 0]
    assert 0.04 < len(chosen) / len(names) < 0.06
    assert chosen[:3] == ["51.jpg", "98.jpg", "114.jpg"]


def test_all_pictures_of_a_person_fall_on_one_side() -> None:
    for person in ("Ada_Lovelace", "Émilie_du_Châtelet", "Li-Wei_O'Neil"):
        assert len({is_held_out(f"{person}_{i:04d}.jpg") for i in range(30)}) == 1
