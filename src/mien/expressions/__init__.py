"""The 135 words for a face, and the language in which an expression can be asked for."""
