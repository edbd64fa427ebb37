"""Imports what notebooks and training import, so that forks of a process that imported this begin at once.

As a program it imports the same from the other end: in a new environment Python compiles each module when it is first
imported, and two processes meet in the middle.
"""

import os
from importlib import import_module

# matplotlib reads it when it is imported; a kernel sets it too late for its fork
os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
MODULES = (
    "papermill", "ipykernel.kernelapp", "ipykernel.zmqshell", "sklearn.metrics", "sklearn.decomposition",
    "marsnb.cli", "marsnb.plots", "marsnb.training.run", "marsnb.results.claims",
)  # fmt: skip
FROM_THE_END = (
    "pytorch_lightning", "segmentation_models_pytorch", "kornia.augmentation", "pytorch_metric_learning.losses",
    "lightly.loss", "seaborn", "umap",
)  # fmt: skip
for name in FROM_THE_END if __name__ == "__main__" else MODULES:
    import_module(name)
