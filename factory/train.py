"""`mien train` with the stages that made the embedded models.

python -m factory.train factory/recipes/mini_analyser.yaml
"""

from __future__ import annotations

import typer

from mien.cli.train import train
from mien.training.recipe import STAGES

OWN = {
    "autoencoder": "factory.stages.autoencoder:AutoencoderStage",
    "analyser": "factory.stages.analyser:AnalyserStage",
    "detector": "factory.stages.detector:DetectorStage",
    "recogniser": "factory.stages.recogniser:RecogniserStage",
    "pretrain": "factory.stages.pretrain:PretrainStage",
    "reward": "factory.stages.reward:RewardStage",
}


def register() -> None:
    """Make the stages known to recipes."""
    STAGES.update(OWN)


if __name__ == "__main__":
    register()
    typer.run(train)
