"""The verbs of the graph, one module each.

A stage's imports take seconds. From its first moment on it ends with the dvc that runs it, and at a Ctrl-C.
"""

from pawprint.interruption import end_while_starting, stop_when_dvc_is_gone

end_while_starting()
stop_when_dvc_is_gone()
