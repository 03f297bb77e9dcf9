"""Reproducible research on image classifiers, tested.

OpenBLAS, the linear algebra of numpy and scipy, chooses its code by the processor and shares sums out among its cores,
and each choice rounds another way. So before either is imported it is held to one thread and to the instructions that
numpy itself asks for: then an eigenvalue is the same to the last bit on an old processor and a new one.
"""

import os
import platform

os.environ["OPENBLAS_NUM_THREADS"] = "1"
if platform.machine() in ("x86_64", "AMD64"):
    os.environ["OPENBLAS_CORETYPE"] = "Nehalem"  # numpy's x86-64-v2
