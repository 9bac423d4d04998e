"""From a wish to who makes it: the one place where the engine is chosen. Each imports no more than it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.making.telling import Tell, silent
from mien.making.wishes import PhotoWish, PortraitWish, RefaceWish

if TYPE_CHECKING:
    from mien.making.made import Maker


def open_maker(
    wish: PortraitWish | RefaceWish | PhotoWish,
    backbone: str = "mini",
    device: str = "auto",
    dtype: str = "auto",
    adapter: str | None = None,
    scheduler: str | None = None,
    tell: Tell = silent,
) -> Maker:
    """A maker of what is wished: the photo engine, or diffusion on a model of its own. The arguments are those of
    `Model` and of the makers; the photo engine needs them for a finish alone. Raises `InputError`: there is no such
    model or scheduler, or the model cannot do what is wished."""
    from mien import preflight

    if isinstance(wish, PhotoWish):
        if wish.finish is not None:
            preflight.check(wish.finish, bare=True)
        if wish.kind == "reface":
            from mien.making.swaps import Swaps

            return Swaps(wish, tell, device, dtype)
        from mien.making.photographs import Photographs

        return Photographs(wish, tell, device, dtype)
    bare = isinstance(wish, RefaceWish) and preflight.adapter_of(backbone, adapter) is None
    preflight.check(backbone, adapter, bare)
    from mien.making.model import Model

    model = Model(backbone, device, dtype, adapter)
    if isinstance(wish, PortraitWish):
        from mien.making.portraits import Portraits

        return Portraits(model, wish, tell)
    if bare:
        from mien.making.placed import PlacedPeople

        return PlacedPeople(model, wish, scheduler, tell)
    from mien.making.refaces import Refaces

    return Refaces(model, wish, scheduler, tell)
