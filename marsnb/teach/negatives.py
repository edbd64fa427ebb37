"""How many of the negatives in a batch show the same thing as their anchor, counted and not sampled."""

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import gammaln

from marsnb.data.augment import strong
from marsnb.data.base import ClassificationData
from marsnb.data.pds import FRAME_LENGTH
from marsnb.data.streams import shuffled
from marsnb.losses._pairs import TEMPERATURE
from marsnb.models.classifier import Classifier
from marsnb.teach.small import BATCH, SIZE
from marsnb.teach.threads import one_thread
from marsnb.teach.views import cosines, tensor_of

Groups = NDArray[np.int64]
KINDS = ("class", "sol", "sequence", "frame")
"""What two images may share: the class; the Martian day; day, camera and command sequence; the exposure."""


def groups(data: ClassificationData) -> dict[str, Groups]:
    """For each of ``KINDS``, the group of each training image, ``(n,)``, read from its label and its name."""
    names = [data.source.names[i] for i in data.train.indices]
    cut = {"sol": 4, "sequence": 12, "frame": FRAME_LENGTH}
    found = {kind: np.unique([name[:n] for name in names], return_inverse=True)[1] for kind, n in cut.items()}
    return {kind: data.train.labels if kind == "class" else found[kind].astype(np.int64) for kind in KINDS}


def share(group: Groups) -> float:
    """Chance that a random negative is of its anchor's group: same-group pairs over all pairs of different images."""
    count, n = np.bincount(group), len(group)
    return float((count * (count - 1)).sum() / (n * (n - 1)))


def at_least_one(group: Groups, batch: int) -> float:
    """Chance that an anchor has one or more negatives of its own group in a batch drawn without repeats."""
    n = len(group)
    batch = min(batch, n)
    others = n - np.bincount(group)  # images outside each group; all negatives must be drawn from these
    fits = others >= batch - 1
    ways = np.where(fits, _log_choose(np.maximum(others, batch - 1), batch - 1), -np.inf)
    none = np.exp(ways - _log_choose(np.array([n - 1]), batch - 1)[0])
    return float(1 - (np.bincount(group) * none).sum() / n)


def _log_choose(n: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


def counted(data: ClassificationData, batches: tuple[int, ...] = (16, 24, 256)) -> pd.DataFrame:
    """One line per kind: share of the negatives, their number per anchor and the chance of at least one, per batch."""
    rows = []
    for kind, group in groups(data).items():
        row: dict[str, object] = {"same": kind, "share of the negatives": f"{100 * share(group):.2f} %"}
        for n in batches:
            row[f"per anchor, N\u00a0=\u00a0{n}"] = f"{share(group) * (n - 1):.2f}"
            row[f"at least one, N\u00a0=\u00a0{n}"] = f"{100 * at_least_one(group, n):.0f} %"
        rows.append(row)
    return pd.DataFrame(rows)


def markdown(frame: pd.DataFrame) -> str:
    """A frame of texts as a Markdown table."""
    lines = [list(frame.columns), ["---", *["---:"] * (len(frame.columns) - 1)], *frame.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


@torch.no_grad()
def push_on_own_class(model: Classifier, data: ClassificationData, batches: int = 10, seed: int = 0) -> pd.DataFrame:
    """Who gets the push of Eq. 1 in random training batches: negatives of the anchor's own class, and all others.

    Returns:
        One line per batch: ``number``, the own class's share of the negatives; ``push``, its share of the push.
    """
    augment, rows = strong(SIZE), []
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.default_generator.manual_seed(seed)
        for step in range(batches):
            at = shuffled(len(data.train), BATCH["eq1"], step, seed + 1)
            images, labels = tensor_of(data.source, data.train.indices[at], SIZE), torch.tensor(data.train.labels[at])
            z1, z2 = model.embed_s(augment(torch.cat([images, images]))).chunk(2)
            logits = cosines(z1, z2) / TEMPERATURE
            itself = torch.eye(len(at), dtype=torch.bool)
            weights = F.softmax(logits.masked_fill(itself, -torch.inf), dim=1)  # (N, N), rows add to 1
            own = (labels[:, None] == labels[None]) & ~itself
            number = own.float().sum(dim=1) / (len(at) - 1)
            rows.append({"number": number.mean().item(), "push": (weights * own).sum(dim=1).mean().item()})
    return pd.DataFrame(rows)
