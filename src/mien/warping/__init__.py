"""A person's own photograph with another expression: its pixels moved along the face's mesh. No diffusion here."""
