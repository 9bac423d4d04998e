"""`mien generate`: portraits of a person with an expression."""

from mien.cli.generate.command import generate as generate
