"""EmojiDiff's generation: identity + expression + prompt -> portraits (EmojiDiff, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mien.models.attention import Scale
from mien.pipelines import arguments
from mien.pipelines.diffusers_names import StepEnd, as_output, check_output, refuse, step_end
from mien.pipelines.generation import Callback, GenerationPipeline, in_batches
from mien.pipelines.inputs import ExpressionLike, FaceChoice, Person, Picture
from mien.pipelines.lead import as_start, check_lead, lead_by_photo
from mien.provenance import remember


class PortraitPipeline(GenerationPipeline):
    """Portraits of people with expressions. An image depends on its own inputs and its own seed only. The default
    scheduler is DPM-Solver++ (2M)."""

    def __call__(
        self,
        identity: Picture | Person | Sequence[Picture | Person] | None = None,
        expression: ExpressionLike | Sequence[ExpressionLike] | None = None,
        prompt: str | Sequence[str] = "",
        negative_prompt: str | Sequence[str] | None = "",
        seed: int | Sequence[int] = 0,
        steps: int | None = None,
        guidance: float | None = None,
        id_scale: Scale = 1.0,
        expression_scale: Scale = 1.0,
        num_images: int = 1,
        face: FaceChoice = "largest",
        expression_face: FaceChoice = "largest",
        height: int | None = None,
        width: int | None = None,
        batch_size: int = 8,
        callback: Callback | None = None,
        lead: float | None = None,
        *,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        num_images_per_prompt: int | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        output_type: str = "pil",
        callback_on_step_end: StepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        pooled_prompt_embeds: Tensor | None = None,
        negative_pooled_prompt_embeds: Tensor | None = None,
        **others: Any,
    ) -> Any:
        """Portraits, PIL RGB; n × num_images of them, the images of one pair next to each other. Raises `InputError`: a
        picture cannot be used, or arguments do not fit each other.

        Args:
            identity: a picture (path or PIL), a `Person` of several pictures, or a list of n. None: nobody in
                particular.
            expression: a picture, a word, blendshapes … (``mien.expressions.spec``), or a list of n. None: no
                expression control.
            prompt, negative_prompt, seed: one for all n, or a list of n. Image j of a pair has seed + j.
            steps, guidance: None: the adapter's own. Guidance above 1 costs a second UNet evaluation a step;
                its unconditional side has the negative prompt and zero embeddings, as in IP-Adapter.
            id_scale, expression_scale: lambda_id, lambda_exp, the same for every image; see ``EAdapter.predict_noise``.
            face, expression_face: which face of an identity's and an expression's picture is meant.
            height, width: pixels; None: the model's size. batch_size: images in work at a time.
            callback: see `mien.pipelines.generation`. lead: see `mien.pipelines.lead`; None: the adapter's own.
            num_inference_steps, guidance_scale, num_images_per_prompt: as steps, guidance, num_images.
            generator: what draws the noise in place of seed: one for all in turn, or one for each image.
            output_type: "pil" (a list, whose ``.images`` is itself), "np", "pt", "latent": see ``as_output``.
            callback_on_step_end: see ``StepEnd``; it may set ``pipe._interrupt``, which ends the call after its step.
            prompt_embeds, negative_prompt_embeds: [n or 1, tokens, d] in place of the texts; SDXL also needs the pooled
                [n or 1, d'].
        """
        refuse(others)
        check_output(output_type)
        steps = arguments.one_of(("steps", "num_inference_steps"), steps, num_inference_steps)
        guidance = arguments.one_of(("guidance", "guidance_scale"), guidance, guidance_scale)
        self.check(steps, guidance, id_scale, expression_scale)
        arguments.whole("batch_size", batch_size)
        height, width = self._size(height), self._size(width)
        lead = check_lead(self.lead if lead is None else lead)
        asked = self.asked(
            num_images if num_images_per_prompt is None else num_images_per_prompt,
            generator,
            (prompt_embeds, negative_prompt_embeds, pooled_prompt_embeds, negative_pooled_prompt_embeds),
            identity=identity,
            expression=expression,
            prompt=prompt,
            negative_prompt=negative_prompt or "",
            seed=seed,
        )
        after = step_end(self, callback_on_step_end, callback_on_step_end_tensor_inputs)
        people = None if identity is None else asked.each["identity"]
        wishes = None if expression is None else asked.each["expression"]
        start = None
        if lead and people and wishes:
            wishes = lead_by_photo(self.analyzer(), people, wishes, face, expression_face)
            start = as_start(wishes, height, width)
            expression_face = "largest"
        embeds = self.embed(people, wishes, len(asked.seeds), face, expression_face)
        shared: dict[str, Any] = {
            "steps": steps,
            "guidance": guidance,
            "id_scale": id_scale,
            "expression_scale": expression_scale,
            "height": height,
            "width": width,
            "after": after,
            "decode": output_type != "latent",
            "lead": lead,
        }
        made: list[Tensor] = []
        for part, report in in_batches(len(asked.seeds), batch_size, callback):
            who, how = (embeds[name][part] if name in embeds else None for name in ("identity", "expression"))
            begin = None if start is None else start[part]
            made.append(self.generate(who, how, **asked.part(part), callback=report, start=begin, **shared))
            if self._interrupt:
                break
        found = as_output(made, output_type)
        if output_type == "pil":
            told = {
                "engine": "diffusion",
                "backbone": Path(self.backbone.name).name,
                "steps": steps or self.steps,
                "guidance": self.guidance if guidance is None else guidance,
            }
            for image, text, one in zip(found, asked.each["prompt"], asked.seeds, strict=False):
                remember(image, {**told, "prompt": text, **({} if generator else {"seed": one})})
        return found
