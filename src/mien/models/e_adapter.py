"""The E-Adapter: identity and expression as two more sources of cross-attention (PAPERS 1.1, EmojiDiff).

A plug-in for any UNet of Stable Diffusion's kind. The base stays frozen and unchanged: nothing is registered
in it, :meth:`EAdapter.detach` gives every attention layer its own processor back. Each branch is saved as
one file in IP-Adapter's layout, so ``pipe.load_ip_adapter([folder, folder], weight_name=[...])`` of stock
diffusers runs it too.

What the paper leaves open, and our choice: 4 tokens a branch, as in both adapters it starts from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

from mien.models.adapter_files import write_adapter
from mien.models.attention import BlockScale, DecoupledAttention, Injected, KeyValue, Scale, in_block
from mien.models.branch import AdapterBranch, check_fit, cross_attention, load_branch
from mien.models.latents import unet_input
from mien.models.projection import ProjectionKind, create_projection
from mien.types import Conditions, InputError, NoisePredictor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from diffusers import UNet2DConditionModel

Stage = Literal["base", "refined", "ica", "all"]
BRANCHES = ("identity", "expression")
FILES = {branch: f"{branch}.safetensors" for branch in BRANCHES}


class EAdapter(nn.Module):
    """Both branches; either may be absent. Make it by :meth:`create` or :meth:`load`, then attach it."""

    def __init__(self, identity: AdapterBranch | None, expression: AdapterBranch | None) -> None:
        super().__init__()
        self.identity = identity
        self.expression = expression
        self._unet: list[UNet2DConditionModel] = []  # in a list: the UNet must not become a submodule
        self._base_processors: dict[str, Any] = {}
        self._processors: list[DecoupledAttention] = []

    @classmethod
    def create(
        cls,
        unet: UNet2DConditionModel,
        identity_width: int | None,
        expression_width: int | None,
        identity_tokens: int = 4,
        expression_tokens: int = 4,
        identity_projection: ProjectionKind = "mlp",
        expression_projection: ProjectionKind = "linear",
    ) -> EAdapter:
        """A new adapter for this UNet; a width of None leaves the branch out.

        Projections start at random (torch's global generator), keys and values as copies of the text's in
        the same layer, as IP-Adapter's training does.
        """

        def branch(width: int | None, kind: ProjectionKind, tokens: int) -> AdapterBranch | None:
            if width is None:
                return None
            layers = []
            for attn in cross_attention(unet).values():
                layer = KeyValue(attn.to_k.in_features, attn.to_k.out_features)
                layer.to_k_ip.weight.data.copy_(attn.to_k.weight)
                layer.to_v_ip.weight.data.copy_(attn.to_v.weight)
                layers.append(layer)
            projection = create_projection(kind, width, layers[0].to_k_ip.in_features, tokens)
            return AdapterBranch(projection, layers)

        return cls(
            branch(identity_width, identity_projection, identity_tokens),
            branch(expression_width, expression_projection, expression_tokens),
        )

    @classmethod
    def load(
        cls, unet: UNet2DConditionModel, identity: str | Path | None, expression: str | Path | None
    ) -> EAdapter:
        """From one file a branch (``.safetensors`` or ``.bin``), for instance IP-Adapter FaceID as identity
        and the image-prompt IP-Adapter as expression; None leaves the branch out. The files must fit the
        UNet."""
        return cls(*(None if path is None else load_branch(unet, path) for path in (identity, expression)))

    def save(self, folder: str | Path, metadata: Mapping[str, str] | None = None) -> list[Path]:
        """Write ``identity.safetensors`` and ``expression.safetensors`` (those there are) into the folder."""
        written = []
        for name, branch in self.branches():
            path = Path(folder) / FILES[name]
            write_adapter(path, branch.state_dict(), metadata)
            written.append(path)
        return written

    def branches(self) -> Iterator[tuple[str, AdapterBranch]]:
        """("identity", …), ("expression", …), those there are."""
        for name in BRANCHES:
            branch = getattr(self, name)
            if branch is not None:
                yield name, branch

    def trainable_parameters(self, stage: Stage = "base") -> list[nn.Parameter]:
        """Choose and return what the stage trains; the rest gets ``requires_grad = False``.

        "base", "refined", "ica": the whole expression branch and the identity's projection (PAPERS 1.1).
        "all": the identity's keys and values too, for a backbone that has no FaceID adapter to start from.
        """
        if stage not in ("base", "refined", "ica", "all"):
            raise InputError(f'stage {stage!r} is unknown: choose "base", "refined", "ica" or "all"')
        self.requires_grad_(True)
        if stage != "all" and self.identity is not None:
            self.identity.ip_adapter.requires_grad_(False)
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def attach(self, unet: UNet2DConditionModel) -> None:
        """Give the UNet's cross-attention layers processors that know the branches; see :meth:`detach`.

        The UNet and the adapter must be on one device; their dtypes may differ.
        """
        if self._unet:
            raise InputError("this adapter is attached already: detach() it first")
        for name, branch in self.branches():
            check_fit(branch, unet, f"the {name} branch")
        base = unet.attn_processors
        if any(isinstance(processor, DecoupledAttention) for processor in base.values()):
            raise InputError("this UNet has an adapter already: detach() that one first")
        new = dict(base)
        for k, (name, own) in enumerate(base.items()):
            weights = [None if b is None else b.at(k) for b in (self.identity, self.expression)]
            if weights != [None, None]:
                processor = DecoupledAttention(name.removesuffix(".processor"), own, *weights)
                self._processors.append(processor)
                new[name] = processor
        unet.set_attn_processor(new)
        self._base_processors = base
        self._unet = [unet]

    def detach(self) -> None:
        """Give the UNet its own processors back. Without effect if not attached."""
        for unet in self._unet:
            unet.set_attn_processor(dict(self._base_processors))
        self._unet, self._base_processors, self._processors = [], {}, []

    def forget(self) -> None:
        """Drop kept keys and values: at the end of a generation, or after weights were written through
        ``.data``."""
        for processor in self._processors:
            processor.forget()

    def train(self, mode: bool = True) -> EAdapter:
        """As ``nn.Module.train``; forgets, since weights may have changed in a way that cannot be seen."""
        self.forget()
        return super().train(mode)

    def project(
        self,
        identity_embeds: Tensor | None = None,
        expression_embeds: Tensor | None = None,
        text: Tensor | None = None,
        drop_identity: Tensor | None = None,
        drop_expression: Tensor | None = None,
    ) -> Conditions:
        """Embeddings to tokens.

        Args:
            identity_embeds, expression_embeds: [b, w], or [b, k, w] for k pictures a sample; None: absent.
            text: [b, n_t, d], passed on.
            drop_identity, drop_expression: [b] bool, True where the embedding is replaced by zeros, which is
                what the unconditional side of guidance sees (IP-Adapter).
        """
        tokens: list[Tensor | None] = []
        for name, embeds, drop in zip(
            BRANCHES, (identity_embeds, expression_embeds), (drop_identity, drop_expression), strict=True
        ):
            if embeds is None:
                tokens.append(None)
                continue
            branch = getattr(self, name)
            if branch is None:
                raise InputError(f"the adapter has no {name} branch: leave the {name} embedding out")
            if drop is not None:
                embeds = embeds.masked_fill(drop.view(-1, *[1] * (embeds.ndim - 1)), 0.0)
            tokens.append(branch.tokens(embeds))
        return Conditions(text=text, identity=tokens[0], expression=tokens[1])

    def predict_noise(
        self,
        unet: Callable[..., Any],
        id_scale: Scale = 1.0,
        expression_scale: Scale = 1.0,
        **unet_arguments: Any,
    ) -> NoisePredictor:
        """The contract's ``predict_noise(z_t, t, conditions) -> eps`` of the attached UNet.

        An inpainting UNet also gets the conditions' background and mask (``mien.models.latents``).

        Args:
            unet: the attached UNet, or a wrapper of it (DistributedDataParallel, torch.compile).
            id_scale, expression_scale: lambda_id and lambda_exp: a number; [b], one a sample; by block name,
                e.g. ``{"": 1.0, "up_blocks.1": 0.5}``; or a function of t [b] that gives any of these, for a
                step's own.
            unet_arguments: passed to every call, e.g. ``added_cond_kwargs`` of SDXL.
        """
        if not self._unet:
            raise InputError("the adapter is not attached to a UNet: attach(unet) first")
        layers, base = [processor.layer for processor in self._processors], self._unet[0]

        def at(scale: Scale, t: Tensor) -> BlockScale:
            value = scale(t) if callable(scale) and not isinstance(scale, Tensor) else scale
            if isinstance(value, dict):
                for block in value:
                    if not any(in_block(layer, block) for layer in layers):
                        raise InputError(f"no cross-attention layer of this UNet is in block {block!r}")
            return value

        def predict(z_t: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
            if conditions.text is None:
                raise InputError("the conditions hold no text tokens: encode the prompt, or an empty one")
            given = Injected(
                conditions.text,
                conditions.identity,
                conditions.expression,
                at(id_scale, t),
                at(expression_scale, t),
            )
            z_in = unet_input(base, z_t, conditions)
            return unet(z_in, t, encoder_hidden_states=given, return_dict=False, **unet_arguments)[0]

        return predict
