"""Model tests on work that was written elsewhere: a Python file that offers its data and its model by functions."""
