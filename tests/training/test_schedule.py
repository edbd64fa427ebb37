"""Learning rates as a function of the epoch."""

import pytest

from marsnb.training.schedule import Schedule


def test_the_papers():
    schedule = Schedule()
    expected = {0: 1.0, 19: 1.0, 20: 0.1, 24: 0.1, 25: 0.01, 29: 0.01}
    for epoch, factor in expected.items():
        assert schedule.factor(epoch) == pytest.approx(factor)
        rates = {"head": 1e-3 * factor, "projection": 1e-6 * factor, "backbone": 1e-6 * factor}
        assert schedule.rates(epoch) == pytest.approx(rates)
    assert schedule.rates() == schedule.rates(0)
    assert schedule.weight_decay == 0


def test_each_group_has_its_own_rate():
    schedule = Schedule(lr_head=1.0, lr_projection=2.0, lr_backbone=3.0, milestones=(2, 2, 4), decay=0.5)
    assert schedule.rates(1) == {"head": 1.0, "projection": 2.0, "backbone": 3.0}
    assert schedule.rates(2) == {"head": 0.25, "projection": 0.5, "backbone": 0.75}  # twice at one epoch
    assert schedule.rates(4) == {"head": 0.125, "projection": 0.25, "backbone": 0.375}


def test_no_milestones_no_decay():
    assert Schedule(milestones=()).rates(1000) == Schedule(milestones=()).rates(0)


def test_rates_never_rise():
    factors = [Schedule(milestones=(1, 3, 7)).factor(epoch) for epoch in range(10)]
    assert factors == sorted(factors, reverse=True)
    assert len(set(factors)) == 4
