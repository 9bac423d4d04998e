"""Calls whose arguments are not what an endpoint takes: one sentence, where Gradio shows paths and objects."""

from __future__ import annotations

import logging
from typing import Any

import gradio as gr

from mien.studio.inputs import Told, shown

LOG = logging.getLogger("mien.studio")
LONGEST = 300  # characters of a message of Gradio's own


class Page(gr.Blocks):
    """Gradio's page, with messages for people."""

    async def process_api(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """As Gradio's; what goes wrong outside our own functions becomes a sentence too."""
        try:
            return await super().process_api(*arguments, **options)
        except Told:
            raise
        except gr.Error as error:  # Gradio's own: a value that is no choice, out of range ...
            raise Told(str(error.message)[:LONGEST]) from None
        except Exception as error:
            LOG.warning("a call was refused: %s %s", type(error).__name__, shown(str(error)))
            raise Told(
                'The arguments are not those of this endpoint: see "Use via API" at the foot of the page.'
            ) from None


def place_of(given: Any) -> str | None:
    """The place of an upload, None if nothing was given: Gradio's own way opens the picture before we can say no."""
    return None if given is None else given.path
