"""The embedded default's parts: a tokenizer that knows its words, sizes that fit each other."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import CLIPTokenizer

from factory.training.mini import (
    TEXT_LENGTH,
    TEXT_WIDTH,
    all_captions,
    create_scheduler,
    create_text_encoder,
    create_tokenizer,
    create_unet,
)


def test_tokenizer_knows_every_caption_and_spells_the_rest(tmp_path: Path) -> None:
    tokenizer = create_tokenizer(all_captions())
    for caption in all_captions()[:200]:
        assert len(tokenizer(caption).input_ids) <= TEXT_LENGTH
    words = tokenizer.convert_ids_to_tokens(tokenizer("black and white photo of a young woman").input_ids)
    assert words[1:-1] == [f"{w}</w>" for w in "black and white photo of a young woman".split()]
    assert tokenizer.unk_token_id not in tokenizer("Xylophone!").input_ids[1:-1]
    tokenizer.save_pretrained(tmp_path)
    again = CLIPTokenizer.from_pretrained(tmp_path)
    assert again("3d render of a man").input_ids == tokenizer("3d render of a man").input_ids


def test_text_unet_and_schedule_fit() -> None:
    tokenizer = create_tokenizer(all_captions())
    ids = tokenizer(["a man", ""], padding="max_length", return_tensors="pt").input_ids
    text = create_text_encoder(tokenizer)(ids)[0]
    assert text.shape == (2, TEXT_LENGTH, TEXT_WIDTH)
    unet = create_unet(4, (32, 64))
    with torch.no_grad():
        eps = unet(torch.randn(2, 4, 8, 8), torch.tensor([1, 999]), encoder_hidden_states=text).sample
    assert eps.shape == (2, 4, 8, 8)
    assert create_scheduler().config.prediction_type == "epsilon"
