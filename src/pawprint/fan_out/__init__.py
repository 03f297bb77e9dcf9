"""`pawprint fan-out`: variants of a study on the nodes of a Ray cluster; Ray places and retries, DVC runs and stores.

`command` looks whether the study can be sent away, pushes what variants begin with, and tells how the jobs get on;
`board` shows that. `job` is what a node does for a variant: check the commit out, pull, `dvc repro`, push (`results`).
At home `dvc repro --pull` finds all of it in the remote's run cache, and runs what needs all variants: compare, report.
"""
