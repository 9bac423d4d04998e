"""Refined E-Adapter, EmojiDiff's second stage: triples of IDI, {S_i^¬e, R_¬i^e, T_i^e}.

The same trainable set, loss and numbers as the base stage, from its adapter. The reference now shows the target's
expression on another person, so nothing of the target's identity can be had from it.
"""

from __future__ import annotations

from mien.training.stages.base import BaseStage


class RefinedStage(BaseStage):
    """`BaseStage`, of a folder that ``mien data idi`` made: ``data.root``."""

    another = True
