"""The E-Adapter: identity and expression as two more sources of cross-attention (EmojiDiff, section 3.1).

A plug-in for any UNet of Stable Diffusion's kind: the base stays frozen, and :meth:`EAdapter.detach` gives every
attention layer its own processor back. Each branch is a file in IP-Adapter's layout, which stock diffusers runs too.
What the paper leaves open: 4 tokens a branch, as in both adapters it starts from. The class also serves the ablation's
injections "serial" and "self_attention" (``mien.models.controllers``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from torch import Tensor, nn

from mien.errors import InputError, choice
from mien.models.adapter_files import read_controller, write_adapter
from mien.models.attention import DecoupledAttention, Injected, Injection, KeyValue, Scale, resolve_scale
from mien.models.branch import AdapterBranch, Branch, attention_layers, check_fit, load_branch
from mien.models.latents import unet_input
from mien.models.projection import PROJECTIONS, ProjectionKind
from mien.types import Conditions, NoisePredictor
from mien.weights.adapters import FILES

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

Stage = Literal["base", "refined", "ica", "all"]
BRANCHES = ("identity", "expression")


class EAdapter(nn.Module):
    """Both branches; either may be absent. Make it by :meth:`create` or :meth:`load`, then attach it. ``controller``:
    how the expression enters, see ``mien.models.attention.DecoupledAttention``."""

    def __init__(
        self,
        identity: AdapterBranch | None,
        expression: Branch | None,
        controller: Injection = "parallel",
    ) -> None:
        super().__init__()
        self.identity = identity
        self.expression = expression
        self.injection: Injection = controller
        self._unet: list[UNet2DConditionModel] = []  # in a list: the UNet must not become a submodule
        self._base_processors: dict[str, Any] = {}
        self._processors: list[DecoupledAttention] = []

    @property
    def controller(self) -> str:
        """Which of the ablation's it is, by name (``mien.models.controllers``)."""
        return self.injection

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
        """A new adapter for this UNet; a width of None leaves the branch out. Projections start at random (torch's
        global generator), keys and values as copies of the text's in the same layer, as IP-Adapter's training does."""
        dim = next(iter(attention_layers(unet).values())).to_k.in_features

        def branch(width: int | None, kind: ProjectionKind, tokens: int) -> AdapterBranch | None:
            if width is None:
                return None
            return AdapterBranch(PROJECTIONS[kind](width, dim, tokens), create_layers(unet, 1))

        return cls(
            branch(identity_width, identity_projection, identity_tokens),
            branch(expression_width, expression_projection, expression_tokens),
        )

    @classmethod
    def load(
        cls, unet: UNet2DConditionModel, identity: str | Path | None, expression: str | Path | None
    ) -> EAdapter:
        """From one file a branch (``.safetensors`` or ``.bin``), for instance IP-Adapter FaceID as identity and the
        image-prompt IP-Adapter as expression; None leaves the branch out. How the expression enters is what its file
        says, else parallel. Raises `InputError`: a file is damaged, of a kind that is not supported, or for another
        UNet or controller.
        """
        controller = "parallel" if expression is None else read_controller(expression)
        choice(controller, get_args(Injection), f"{expression}: the controller")

        def branch(path: str | Path | None, first: int) -> AdapterBranch | None:
            if path is None:
                return None
            if Path(path).is_dir():
                from mien.models.fineface import load_fineface

                return load_fineface(unet, Path(path))
            loaded = load_branch(unet, path)
            if loaded.first != first:
                kind = "self-attention" if first else "cross-attention"
                raise InputError(f"{path}: holds weights of {kind}: use the file as it was saved")
            return loaded

        first = 0 if controller == "self_attention" else 1
        return cls(branch(identity, 1), branch(expression, first), controller)  # type: ignore[arg-type]

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``identity.safetensors`` and ``expression.safetensors`` (those there are) into the folder. The
        expression's metadata names the controller; stock diffusers runs what is parallel."""
        written = []
        for name, branch in self.branches():
            path = Path(folder) / FILES[name]
            metadata = {"controller": self.controller} if name == "expression" else {}
            write_adapter(path, branch.state_dict(), metadata)
            written.append(path)
        return written

    def branches(self) -> Iterator[tuple[str, Branch]]:
        """("identity", …), ("expression", …), those there are."""
        for name in BRANCHES:
            branch = getattr(self, name)
            if branch is not None:
                yield name, branch

    def trainable_parameters(self, stage: Stage = "base") -> list[nn.Parameter]:
        """Choose and return what the stage trains; the rest gets ``requires_grad = False``. "base", "refined", "ica":
        the whole expression branch and the identity's projection (EmojiDiff, supplement A.1). "all": the identity's
        keys and values too, for a backbone that has no FaceID adapter to start from."""
        choice(stage, get_args(Stage), "stage")
        self.requires_grad_(True)
        if stage != "all" and self.identity is not None:
            self.identity.ip_adapter.requires_grad_(False)
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def attach(self, unet: UNet2DConditionModel) -> None:
        """Give the UNet's cross-attention layers processors that know the branches; see :meth:`detach`. The UNet and
        the adapter must be on one device; their dtypes may differ."""
        if self._unet:
            raise InputError("this adapter is attached already: detach() it first")
        for name, branch in self.branches():
            if isinstance(branch, AdapterBranch):  # a ControlNet was made of this UNet
                check_fit(branch, unet, f"the {name} branch")
        base = unet.attn_processors
        if any(isinstance(processor, DecoupledAttention) for processor in base.values()):
            raise InputError("this UNet has an adapter already: detach() that one first")
        new, processors = dict(base), []
        for k, (name, own) in enumerate(base.items()):
            identity, expression = (None if b is None else b.at(k) for b in (self.identity, self.expression))
            if k % 2 or identity is not None or expression is not None:
                layer = name.removesuffix(".processor")
                processor = DecoupledAttention(layer, own, identity, expression, self.injection)
                processors.append(processor)
                new[name] = processor
        unet.set_attn_processor(new)
        self._base_processors, self._processors = base, processors
        self._unet = [unet]

    def is_attached_to(self, unet: UNet2DConditionModel) -> bool:
        """Whether :meth:`attach` was called with it, and :meth:`detach` was not since."""
        return bool(self._unet) and self._unet[0] is unet

    def detach(self) -> None:
        """Give the UNet its own processors back. Without effect if not attached."""
        for unet in self._unet:
            unet.set_attn_processor(dict(self._base_processors))
        self._unet, self._base_processors, self._processors = [], {}, []

    def forget(self) -> None:
        """Drop kept keys and values: at the end of a generation, or after weights were written through ``.data``."""
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
        """Embeddings to tokens. identity_embeds, expression_embeds: [b, w], or [b, k, w] for k pictures a sample; None:
        absent. text: [b, n_t, d], passed on. drop_identity, drop_expression: [b] bool, True where the embedding is
        replaced by zeros, as guidance's unconditional side (IP-Adapter)."""
        tokens = {}
        for name, embeds, drop in (
            ("identity", identity_embeds, drop_identity),
            ("expression", expression_embeds, drop_expression),
        ):
            if embeds is None:
                continue
            branch: Branch | None = getattr(self, name)
            if branch is None:
                raise InputError(f"the adapter has no {name} branch: leave the {name} embedding out")
            if drop is not None:
                embeds = embeds.masked_fill(drop.view(-1, *[1] * (embeds.ndim - 1)), 0.0)
            tokens[name] = branch.tokens(embeds)
        return Conditions(text=text, **tokens)

    def predict_noise(
        self,
        unet: Callable[..., Any],
        id_scale: Scale = 1.0,
        expression_scale: Scale = 1.0,
        **unet_arguments: Any,
    ) -> NoisePredictor:
        """The contract's ``predict_noise(z_t, t, conditions) -> eps`` of the attached UNet; an inpainting UNet also
        gets the conditions' background and mask (``mien.models.latents``).

        Args:
            unet: the attached UNet, or a wrapper of it (DistributedDataParallel, torch.compile).
            id_scale, expression_scale: lambda_id and lambda_exp: a number; [b], one a sample; by block name, e.g.
                ``{"": 1.0, "up_blocks.1": 0.5}``; or a function of t [b] that gives any of these.
            unet_arguments: passed to every call, e.g. ``added_cond_kwargs`` of SDXL.
        """
        if not self._unet:
            raise InputError("the adapter is not attached to a UNet: attach(unet) first")
        layers, base = [processor.layer for processor in self._processors], self._unet[0]

        def predict(z_t: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
            if conditions.text is None:
                raise InputError("the conditions hold no text tokens: encode the prompt, or an empty one")
            given = Injected(
                conditions.text,
                conditions.identity,
                conditions.expression,
                resolve_scale(id_scale, t, layers),
                resolve_scale(expression_scale, t, layers),
            )
            arguments = unet_arguments
            if self.injection == "self_attention":  # whose layers do not see encoder_hidden_states
                beside = {**(arguments.get("cross_attention_kwargs") or {}), "ip_hidden_states": given}
                arguments = {**arguments, "cross_attention_kwargs": beside}
            z_in = unet_input(base, z_t, conditions)
            return unet(z_in, t, encoder_hidden_states=given, return_dict=False, **arguments)[0]

        return predict


def create_layers(unet: UNet2DConditionModel, first: int) -> list[KeyValue]:
    """New keys and values for a branch in the UNet's cross-attention (first = 1, copies of the text's) or
    self-attention layers (0, at random)."""
    layers = []
    for cross, attn in zip(
        attention_layers(unet).values(), attention_layers(unet, first).values(), strict=True
    ):
        layer = KeyValue(cross.to_k.in_features, attn.to_k.out_features)
        if first:
            layer.to_k_ip.weight.data.copy_(attn.to_k.weight)
            layer.to_v_ip.weight.data.copy_(attn.to_v.weight)
        layers.append(layer)
    return layers
