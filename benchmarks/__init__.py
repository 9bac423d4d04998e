"""The tables of the documents; each is run by `python -m benchmarks.NAME` from the checkout."""
