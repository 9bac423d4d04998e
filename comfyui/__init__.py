"""mien's nodes for ComfyUI: put this folder, or a link to it, into ComfyUI's ``custom_nodes`` as ``mien``."""

from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
