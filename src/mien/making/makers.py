"""From a wish to who makes it: a model is loaded, and the maker of that kind of picture put on it."""

from __future__ import annotations

from collections.abc import Callable

from mien.making.made import Maker
from mien.making.model import Model
from mien.making.portraits import Portraits
from mien.making.refaces import Refaces
from mien.making.wishes import PortraitWish, RefaceWish


def open_maker(
    wish: PortraitWish | RefaceWish,
    backbone: str,
    device: str,
    dtype: str,
    adapter: str | None,
    scheduler: str | None = None,
    tell: Callable[[str], object] = lambda message: None,
) -> Maker:
    """A maker on a model of its own; the arguments are those of `Model` and of the makers.

    Raises:
        InputError: there is no such model or scheduler, or the model cannot do what is wished.
    """
    model = Model(backbone, device, dtype, adapter)
    if isinstance(wish, PortraitWish):
        return Portraits(model, wish, tell)
    return Refaces(model, wish, scheduler, tell)
