"""The embedded default's architecture: a Stable Diffusion of 128 x 128 pixels in small, in diffusers' own classes."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from diffusers import DPMSolverMultistepScheduler, UNet2DConditionModel
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from factory.faces.captions import STYLES, Label, caption
from mien.data.ingest import NAMED_COLOURS

TEXT_WIDTH = 256
TEXT_LENGTH = 24
START, END = "<|startoftext|>", "<|endoftext|>"


def create_tokenizer(corpus: list[str]) -> CLIPTokenizer:
    """A CLIP tokenizer (byte-level BPE) whose merges are learned from `corpus`; other words are spelt out."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    letters = [chr(code) for code in range(33, 127)]
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=[START, END],
        initial_alphabet=letters,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    bpe.train_from_iterator(corpus, trainer)
    with tempfile.TemporaryDirectory() as folder:
        bpe.model.save(folder)
        vocabulary = json.loads((Path(folder) / "vocab.json").read_text())
        merges = (Path(folder) / "merges.txt").read_text().splitlines()[1:]
    for letter in letters:  # so that any printable word can be spelt
        vocabulary.setdefault(f"{letter}</w>", len(vocabulary))
    pairs = [tuple(line.split(" ")) for line in merges]
    return CLIPTokenizer(vocab=vocabulary, merges=pairs, model_max_length=TEXT_LENGTH)


def create_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A small CLIP text encoder: [b, 24] ids → [b, 24, 256]."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=TEXT_LENGTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def create_unet(latent_channels: int = 16, widths: tuple[int, int] = (192, 320)) -> UNet2DConditionModel:
    """A UNet on [b, c, 8, 8] latents with text cross-attention at both of its sizes."""
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=widths,
        layers_per_block=2,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=(widths[0] // 32, widths[1] // 32),  # diffusers' name for the number of heads
    )


def create_scheduler() -> DPMSolverMultistepScheduler:
    """Stable Diffusion's schedule, epsilon-prediction, and the sampler that goes with a network so small.

    Its error in eps is divided by sqrt(alpha_bar), 0.07 at t = 999, and what it gets wrong in the first steps stays in
    a picture as blotches: so the noisiest times are skipped ("leading" spacing, as Stable Diffusion's), and the solver
    is the stochastic one (SDE-DPM-Solver++, Lu et al. 2022, arXiv 2211.01095), whose fresh noise buries old errors.
    """
    return DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        algorithm_type="sde-dpmsolver++",
        solver_order=2,
        timestep_spacing="leading",
        steps_offset=1,
    )


def all_captions() -> list[str]:
    """Every phrase the captions can hold: the corpus of the embedded tokenizer."""
    people = [
        Label("", age, gender, ethnicity)
        for age in (20, 40, 50, 70, None)
        for gender in ("man", "woman", None)
        for ethnicity in ("white", "black", "asian", "indian", None)
    ]
    lights = ("light from the left", "light from the right", "dark light", "bright light")
    corpus = [
        caption(style, person, "", "", (True, True, False, False)) for style in STYLES for person in people
    ]
    corpus += [f"{light}, {colour} background" for light in lights for colour in NAMED_COLOURS]
    extra = (
        "a portrait of a person's face: photograph, picture, studio, female, male, girl, boy, gray, grayscale"
    )
    return [*corpus, extra]
