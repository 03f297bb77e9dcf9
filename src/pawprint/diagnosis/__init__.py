"""`pawprint diagnose`: what the symptoms say of a training, by its run or by a CSV of its curves, whoever wrote it."""
