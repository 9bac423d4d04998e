"""Training in slices: minutes at a time on whatever machine can be had, all carried in and out (docs/slices.md).

`recipe` what a slice trains; `prepare` and `pictures` compact training data; `feed` batches made from them on the
device; `state` what one slice hands to the next; `run` a slice; `loads` the folders that travel; `expect` and `report`
what slices bring.
"""
