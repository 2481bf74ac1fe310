import math

import pytest

from tigon.mcmc.schedules import Geometric


def test_a_schedule_goes_from_its_start_to_its_end_and_falls_all_the_way():
    values = [Geometric(8.0, 2.0)(k / 10) for k in range(11)]
    assert values[0] == 8 and values[-1] == 2
    assert all(a > b for a, b in zip(values, values[1:], strict=False))


def test_a_geometric_schedule_has_even_factors():
    values = [Geometric(16.0, 1.0)(k / 4) for k in range(5)]
    assert all(map(math.isclose, values, [16, 8, 4, 2, 1]))


def test_the_end_is_reached_where_it_is_asked_for_and_kept():
    schedule = Geometric(4.0, 1.0, until=0.5)
    assert math.isclose(schedule(0.25), Geometric(4.0, 1.0)(0.5))
    assert schedule(0.5) == schedule(0.8) == schedule(1.0) == 1
    assert Geometric(4.0, 1.0, until=0.0)(0.0) == 1


@pytest.mark.parametrize("start, end", [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0)])
def test_even_factors_from_or_to_nothing_are_refused(start, end):
    with pytest.raises(ValueError, match="above 0"):
        Geometric(start, end)
