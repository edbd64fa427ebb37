"""What Tables 3 and 5 to 7 show, in sentences made from the ledger."""

from marsnb.report.evidence import told_apart
from marsnb.report.measured import Line, lines
from marsnb.report.sentences import APART, OVERLAP, number_of, scale_note
from marsnb.report.tables import number_text


def _paper(line: Line) -> float:
    assert line.paper is not None
    return line.paper.mean


def _mine(line: Line) -> float:
    assert line.measured is not None
    return line.measured.mean


def _apart(one: Line, other: Line) -> bool:
    return bool(one.measured and other.measured and told_apart(one.measured, other.measured))


def _nothing(number: int, profile: str) -> str:
    return f"{scale_note(profile)}Nothing to compare yet: `marsnb run --table {number} --profile {profile}`."


def against_baseline(profile: str) -> str:
    """Table 3 row by row: what each method gains over the ResNet-50 baseline in the paper and here, as Markdown."""
    found = [line for line in lines(3, profile) if not line.row.control]
    base = next(line for line in found if line.row.id == "resnet50")
    ours = next(line for line in found if line.row.id == "ours")
    rest = [line for line in found if line.measured and line is not base]
    if base.measured is None or not rest:
        return _nothing(3, profile)
    text = [
        scale_note(profile),
        "| Method | Gain over the baseline, paper (points) | Measured (points) | |",
        "|---|---:|---:|---|",
    ]
    agree = 0
    for line in rest:
        theirs, mine = _paper(line) - _paper(base), _mine(line) - _mine(base)
        sure = _apart(base, line)
        agree += theirs * mine > 0
        text.append(f"| {line.row.label} | {theirs:+.2f} | {mine:+.2f} | {APART if sure else OVERLAP} |")
    up = [line for line in rest if _mine(line) > _mine(base) and _apart(base, line)]
    down = [line for line in rest if _mine(line) < _mine(base) and _apart(base, line)]
    text += [
        "",
        f"- The sign of the gain is the paper's in {agree} of {len(rest)} rows. {_count(up, 'above')} "
        f"{_count(down, 'below')}",
    ]
    best = max((line for line in rest if line is not ours), key=_mine, default=None)
    if ours.measured and best is not None:
        second = max((line for line in found if line is not ours), key=_paper)
        gap = _mine(ours) - _mine(best)
        text.append(
            f"- Ours against the best of the others: {gap:+.2f} points here, against {best.row.label} "
            f"({number_of(best)} %), "
            f"{APART if _apart(ours, best) else OVERLAP}; in the paper {_paper(ours) - _paper(second):+.2f}, against "
            f"{second.row.label}. The paper's text names Triplet loss as the second best and a margin of 10.99, "
            "although "
            "its table has SsCL above it."
        )
    return "\n".join(text)


def _count(some: list[Line], where: str) -> str:
    if not some:
        return f"No row is told apart from the baseline as {where} it."
    names = ", ".join(line.row.label for line in some)
    return f"Told apart from the baseline as {where} it: {names}."


def backbones(profile: str) -> str:
    """Table 5: what ours gains per network in the paper and here, as Markdown."""
    pairs: dict[str, dict[str, Line]] = {}
    for line in lines(5, profile):
        assert line.row.cell is not None
        pairs.setdefault(line.row.cell.column, {})[line.row.cell.row] = line
    done = {name: pair for name, pair in pairs.items() if all(line.measured for line in pair.values())}
    if not done:
        return _nothing(5, profile)
    text = [
        scale_note(profile),
        "| Network | Started from | Gain of ours, paper (points) | Measured (points) | |",
        "|---|---|---:|---:|---|",
    ]
    gains = []
    for name, pair in done.items():
        base, ours = pair["Baseline"], pair["Ours"]
        theirs = f"{_paper(ours) - _paper(base):+.2f}" if ours.paper and base.paper else "not in the paper"
        gains.append(_mine(ours) - _mine(base))
        says = APART if _apart(base, ours) else OVERLAP
        text.append(f"| {name} | {ours.spec.start} | {theirs} | {gains[-1]:+.2f} | {says} |")
    better = sum(gain > 0 for gain in gains)
    text.append(
        f"\nThe paper: ours improves all eight networks. Here it is ahead on {better} of {len(done)} that were run "
        "with both."
    )
    starts = {pair["Ours"].spec.start for pair in done.values()}
    if "random" in starts and scale_note(profile).find("SYNTHETIC") < 0:
        text.append(
            "A network from random weights sees a few thousand images in this profile, and stays far below one that "
            "was "
            "trained on ImageNet: its rows say whether ours helps a network that has yet to learn to see, which is not "
            "the paper's question."
        )
    missing = [name for name in pairs if name not in done]
    if missing:
        text.append(f"Not run with both: {', '.join(missing)}.")
    return "\n".join(text)


def sweep(number: int, profile: str) -> str:
    """Table 6 or 7: the best weight in the paper and here, and whether the others are told apart, as Markdown."""
    found = [line for line in lines(number, profile) if line.measured and not line.row.control]
    if not found:
        return _nothing(number, profile)
    best, theirs = max(found, key=_mine), max(lines(number, profile), key=_paper)
    near = [line for line in found if line is not best and not _apart(best, line)]
    text = [
        f"{scale_note(profile)}- Best weight of {len(found)} measured: **{best.row.label}**, {number_of(best)} %; in "
        "the paper "
        f"{theirs.row.label}, {number_text(_paper(theirs), theirs.paper.std if theirs.paper else None)} %.",
        f"- From the worst to the best it is {_mine(best) - min(map(_mine, found)):.2f} points here; in the paper, "
        "over the "
        f"same rows, {max(map(_paper, found)) - min(map(_paper, found)):.2f}.",
    ]
    if near:
        names = ", ".join(line.row.label for line in near)
        text.append(f"- Not told apart from the best: {names}.")
    if len(near) == len(found) - 1 and len(found) > 1:
        text.append("- So no weight can be called the best with these runs: **the sweep does not decide**.")
    return "\n".join(text)
