"""Faces to learn from: photographs with labels, synthetic heads, warped photographs, pictures with many faces."""
