"""Numbers about faces, the way the papers count them. `face` and `retrieval` are pure functions of arrays."""
