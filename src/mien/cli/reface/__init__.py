"""`mien reface`: another face, another expression or both, in a photo."""

from mien.cli.reface.command import reface as reface
