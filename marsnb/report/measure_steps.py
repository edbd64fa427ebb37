"""The measurement of steps, under the name that notebook 14 knows; it lives in ``marsnb.bench.steps``."""

from marsnb.bench.steps import PAIRS as PAIRS
