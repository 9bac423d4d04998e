"""`mien`: a portrait of this person, with that expression. Importing this package loads nothing heavy."""

from __future__ import annotations

__version__ = "0.1.0"
