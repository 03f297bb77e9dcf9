"""Side-by-side ratios: what the house costs against the plain way of doing the same. `make bench` runs them.

Nothing here asserts a time: a machine under load would fail it, and a fast one would hide a loss. Both sides run
in turn on the same machine, so that what slows one slows the other, and the ratio is what is reported.
"""
