"""From the ledger to tidy frames: tables, differences, intervals, rank correlation, curves, and the paper's claims."""

from marsnb.results.costs import cost_ratios, fairness, method_costs, other_settings
from marsnb.results.epochs import changes, curves, mean_curves, whole
from marsnb.results.gains import differences
from marsnb.results.images import answers, matrices
from marsnb.results.intervals import ENOUGH, over_seeds
from marsnb.results.output import caption, readable, styled, synthetic, tall, write_csv, write_frame, write_table
from marsnb.results.ranks import rank_correlation
from marsnb.results.tidy import by_processor, on_common_seeds, on_one_processor, summary, table

__all__ = [
    "ENOUGH", "answers", "by_processor", "caption", "changes", "cost_ratios", "curves", "differences", "fairness",
    "matrices", "mean_curves", "method_costs", "on_common_seeds", "on_one_processor", "other_settings", "over_seeds",
    "rank_correlation", "readable", "styled", "summary", "synthetic", "table", "tall", "whole", "write_csv",
    "write_frame", "write_table",
]  # fmt: skip
