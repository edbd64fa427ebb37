import time

import numpy as np
import pytest

from marsnb.data.base import ClassificationData, LabelledList
from marsnb.data.msl import MSL, open_msl, paper_table1, parse_name, read_tree
from marsnb.data.verify import table1
from tests.fake.msl import CONFLICT


def names(data: ClassificationData, part: LabelledList) -> list[str]:
    return [data.source.names[index] for index in part.indices]


def frames(data: ClassificationData, part: LabelledList) -> set[str]:
    return {name[:22] for name in names(data, part)}


@pytest.mark.real_data
def test_real_counts_are_table_1() -> None:
    table = table1()
    assert {row["class"]: (row["train_val"], row["test"]) for row in table.to_dict("records")} == paper_table1()
    assert (table["train_val"].sum(), table["test"].sum()) == (5386, 1305)
    assert len(read_tree().unlabelled) == 46


@pytest.mark.real_data
@pytest.mark.parametrize("protocol", MSL.protocols)
def test_real_protocols(protocol: str) -> None:
    start = time.process_time()
    data = open_msl(protocol, unlabelled=None)
    assert time.process_time() - start < 3
    assert len(data.test) == 1305
    counts = np.bincount(data.train.labels, minlength=24) + np.bincount(data.val.labels, minlength=24)
    assert counts.tolist() == [paper_table1()[name][0] for name in MSL.class_names]
    sizes = {"by_frame": (4853, 533), "paper": (4847, 539), "chronological": (3746, 1640)}
    assert (len(data.train), len(data.val)) == sizes[protocol]
    shared = frames(data, data.train) & frames(data, data.val)
    assert bool(shared) == (protocol == "paper")
    assert not frames(data, data.test) & (frames(data, data.train) | frames(data, data.val))


@pytest.mark.real_data
def test_real_by_frame_has_every_class_on_both_sides() -> None:
    data = open_msl()
    assert set(data.train.labels) == set(data.val.labels) == set(range(24))
    conflicting = [MSL.class_names.index(name) for name in CONFLICT]
    assert min(np.bincount(data.val.labels)[conflicting]) > 10


@pytest.mark.real_data("msl-images", "pds-browse")
def test_real_unlabelled_has_no_labelled_frame() -> None:
    data = open_msl()
    assert data.unlabelled is not None
    labelled = {name[:22] for name in data.source.names}
    assert not labelled & {name[:22] for name in data.unlabelled.names}
    assert max(parse_name(name).sol for name in data.unlabelled.names) <= 564
    assert data.unlabelled.decode(0, 32).shape == (32, 32, 3)
