"""The four expression controllers of the ablation, by name (EmojiDiff, supplement A.2 and Fig. 1).

    (a) "self_attention"  the expression's tokens beside the picture's own in every self-attention layer
    (b) "controlnet"      a ControlNet (Zhang et al. 2023, arXiv 2302.05543) that is told the expression's tokens
    (c) "serial"          cross-attention with the expression after that with the identity
    (d) "parallel"        cross-attention with both side by side: the method

The formulas are our reading of the four names, as the figure is not in the text we have: (a), (c) and (d) in
``mien.models.attention``, (b) at :class:`ControlNetAdapter`. In all four the identity enters by parallel
cross-attention, the paper's parameters are trained, and at scale 0 the expression changes nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from mien.errors import InputError, choice
from mien.models.adapter_files import read_adapter, read_controller
from mien.models.attention import Scale, is_zero, layer_scale, resolve_scale
from mien.models.branch import AdapterBranch, Branch, attention_layers, load_branch
from mien.models.compound import CompoundProjection
from mien.models.e_adapter import EAdapter, create_layers
from mien.models.latents import unet_input
from mien.models.projection import Projection, load_exactly, projection_from_state
from mien.types import Conditions, NoisePredictor

if TYPE_CHECKING:
    from diffusers import ControlNetModel, UNet2DConditionModel

CONTROLLERS = ("self_attention", "controlnet", "serial", "parallel")


def change_controller(name: str, unet: UNet2DConditionModel, adapter: EAdapter) -> EAdapter:
    """The adapter's identity branch (shared) and expression projection (copied) under the controller of this name.

    Weights of cross-attention go over from parallel to serial and back; what the other has no place for starts anew.
    The result is on the CPU or the UNet's device, not attached; an adapter that has this controller is given back as it
    is.
    """
    if adapter.controller == choice(name, CONTROLLERS, "controller"):
        return adapter
    old = adapter.expression
    if old is None:
        raise InputError(f"the adapter has no expression branch that could be a {name} controller")
    projection = copy.deepcopy(old.image_proj)
    if name == "controlnet":
        return ControlNetAdapter(adapter.identity, ControlNetBranch.create(projection, unet))
    first = 0 if name == "self_attention" else 1
    keep = isinstance(old, AdapterBranch) and old.first == first
    layers = copy.deepcopy(old.layers) if keep else create_layers(unet, first)
    return EAdapter(adapter.identity, AdapterBranch(projection, layers, first=first), name)  # type: ignore[arg-type]


def load_controller(
    unet: UNet2DConditionModel, identity: str | Path | None, expression: str | Path | None
) -> EAdapter:
    """From one file a branch, as ``EAdapter.load``; the expression's file says which controller it is for. Raises
    `InputError`: a file is damaged, of a kind that is not supported, incomplete, or for another UNet."""
    if expression is None or read_controller(expression) != "controlnet":
        return EAdapter.load(unet, identity, expression)
    image_proj, weights = read_adapter(expression, part="controlnet")
    projection = projection_from_state({k: v.float() for k, v in image_proj.items()}, str(expression))
    branch = ControlNetBranch.create(projection, unet)
    load_exactly(branch.controlnet, weights, f"{expression}: controlnet")
    return ControlNetAdapter(None if identity is None else load_branch(unet, identity), branch)


class ControlNetBranch(Branch):
    """The expression's projection and a ControlNet. Make it by :meth:`create`."""

    def __init__(self, projection: Projection | CompoundProjection, controlnet: ControlNetModel) -> None:
        super().__init__(projection)
        self.controlnet = controlnet
        # an embedding has no place in the picture: the control picture's network is left out, see `residuals`
        controlnet.controlnet_cond_embedding = nn.Identity()

    @classmethod
    def create(
        cls, projection: Projection | CompoundProjection, unet: UNet2DConditionModel
    ) -> ControlNetBranch:
        """diffusers' ControlNet: a copy of the UNet's encoder whose outputs pass convolutions that start at zero."""
        from diffusers import ControlNetModel

        dim = next(iter(attention_layers(unet).values())).to_k.in_features
        if projection.dim != dim:
            raise InputError(
                f"an expression projection to width {projection.dim} does not fit a UNet of "
                f"cross-attention width {dim}: use an adapter of this UNet's family"
            )
        controlnet = ControlNetModel.from_unet(unet).requires_grad_(True)
        return cls(projection, controlnet)

    def blocks(self) -> list[str]:
        """Which of the UNet's blocks each residual goes to."""
        names = ["conv_in"]
        for i, block in enumerate(self.controlnet.down_blocks):
            names += [f"down_blocks.{i}"] * (len(block.resnets) + bool(block.downsamplers))
        return [*names, "mid_block"]

    def residuals(self, z_in: Tensor, t: Tensor, tokens: Tensor, **arguments: Any) -> list[Tensor]:
        """What is added to the UNet's skip connections and, the last, to its middle. z_in: [b, c_in, h, w] the UNet's
        input. t: [b]. tokens: [b or 1, n, d]. arguments: SDXL's ``added_cond_kwargs``."""
        dtype = next(self.controlnet.parameters()).dtype
        no_picture = z_in.new_zeros(1, 1, 1, 1, dtype=dtype)
        down, mid = self.controlnet(
            z_in.to(dtype),
            t,
            encoder_hidden_states=tokens.to(dtype).expand(len(z_in), -1, -1),
            controlnet_cond=no_picture,
            return_dict=False,
            **arguments,
        )
        return [*down, mid]


class ControlNetAdapter(EAdapter):
    """Controller (b): eps = UNet(z_t, t, text, identity; residuals lambda_exp * ControlNet(z_t, t, tokens_exp)). The
    ControlNet attends to the expression's tokens in the place of text. Its files are ``identity.safetensors``, and
    ``expression.safetensors`` with ``image_proj.*`` and ``controlnet.*``."""

    def __init__(self, identity: AdapterBranch | None, expression: ControlNetBranch) -> None:
        super().__init__(identity, expression)

    @property
    def controller(self) -> str:
        """The name."""
        return "controlnet"

    def predict_noise(
        self,
        unet: Callable[..., Any],
        id_scale: Scale = 1.0,
        expression_scale: Scale = 1.0,
        **unet_arguments: Any,
    ) -> NoisePredictor:
        """As ``EAdapter.predict_noise``. A block's ``expression_scale`` is that of the residuals which go there:
        ``"conv_in"``, ``"down_blocks.0"`` …, ``"mid_block"``."""
        if not self._unet:
            raise InputError("the adapter is not attached to a UNet: attach(unet) first")
        branch = self.expression
        assert isinstance(branch, ControlNetBranch)
        base, blocks, by_layers = self._unet[0], branch.blocks(), super().predict_noise
        shared = {k: v for k, v in unet_arguments.items() if k in ("added_cond_kwargs", "timestep_cond")}

        def predict(z_t: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
            arguments = dict(unet_arguments)
            scale = resolve_scale(expression_scale, t, blocks)
            scales = [layer_scale(scale, block) for block in blocks]
            if conditions.expression is not None and not all(is_zero(s) for s in scales):
                z_in = unet_input(base, z_t, conditions)
                residuals = [
                    (s.to(r).view(-1, 1, 1, 1) if isinstance(s, Tensor) else s) * r.to(z_t.dtype)
                    for s, r in zip(
                        scales,
                        branch.residuals(z_in, t, conditions.expression, **shared),
                        strict=True,
                    )
                ]
                arguments["down_block_additional_residuals"] = residuals[:-1]
                arguments["mid_block_additional_residual"] = residuals[-1]
            return by_layers(unet, id_scale, **arguments)(z_t, t, conditions)

        return predict
