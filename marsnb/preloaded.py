"""Imports what notebooks and training import, so that forks of a process that imported this begin at once."""

import os
from importlib import import_module

# matplotlib reads it when it is imported; a kernel sets it too late for its fork
os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
MODULES = (
    "papermill", "ipykernel.kernelapp", "ipykernel.zmqshell", "sklearn.metrics", "sklearn.decomposition",
    "marsnb.cli", "marsnb.plots", "marsnb.training.run", "marsnb.results.claims",
)  # fmt: skip
for name in MODULES:
    import_module(name)
