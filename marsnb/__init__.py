"""marsnb: a reproducible companion to "Semi-Supervised Learning for Mars Imagery Classification and Segmentation".

Importing the package loads nothing heavy; torch arrives with the first submodule that needs it.
"""

__version__ = "0.1.0"
