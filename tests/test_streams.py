import pytest
import torch

from tigon.streams import Streams, make_rng, normal, rows, seed_of, uniform


def test_a_rows_noise_depends_on_its_example_alone():
    like = torch.zeros(3, 4)
    together = normal(Streams(7, 2, [5, 6, 9]), like)
    alone = normal(Streams(7, 2, [6]), like[:1])
    assert torch.equal(together[1:2], alone)


@pytest.mark.parametrize("other", [(8, 2, 5), (7, 3, 5), (7, 2, 6)])
def test_seed_iteration_and_example_each_change_the_noise(other):
    seed, iteration, index = other
    like = torch.zeros(1, 4)
    noise = normal(Streams(seed, iteration, [index]), like)
    assert not torch.equal(noise, normal(Streams(7, 2, [5]), like))


@pytest.mark.parametrize(
    ("one", "other"),
    [((0, 2), (0, 2, 0)), ((2**32, 5), (0, 1, 5)), ((1, 23), (12, 3)), (("a", 1), ("a1",))],
)
def test_different_keys_have_different_seeds(one, other):
    assert seed_of(*one) != seed_of(*other)


def test_draws_for_different_purposes_are_independent():
    like = torch.zeros(1, 4)
    chains = normal(Streams(7, 2, [5]), like)
    assert not torch.equal(chains, normal(Streams(7, 2, [5], "sample"), like))


def test_streams_of_different_rows_are_uncorrelated_and_standard_normal():
    noise = normal(Streams(0, 0, range(200)), torch.zeros(200, 500)).double()
    assert abs(noise.mean()) < 5 / (200 * 500) ** 0.5
    assert abs(noise.var() - 1) < 5 * (2 / (200 * 500)) ** 0.5
    correlation = torch.corrcoef(noise) - torch.eye(200)
    assert correlation.abs().max() < 5.5 / 500**0.5


def test_uniform_draws_one_number_a_row():
    numbers = uniform(Streams(0, 0, range(2000)), torch.zeros(2000, 3))
    assert numbers.shape == (2000,)
    assert abs(numbers.mean() - 0.5) < 5 * (1 / 12 / 2000) ** 0.5
    assert numbers.min() >= 0 and numbers.max() < 1


def test_part_of_the_streams_draws_what_the_whole_does():
    like = torch.zeros(4, 3)
    whole = normal(Streams(1, 1, range(4)), like)
    streams = Streams(1, 1, range(4))
    parts = [
        normal(rows(streams, slice(0, 2)), like[:2]),
        normal(rows(streams, slice(2, 4)), like[2:]),
    ]
    assert torch.equal(torch.cat(parts), whole)


def test_no_draw_touches_the_global_generator():
    before = torch.get_rng_state()
    normal(Streams(0, 0, range(3)), torch.zeros(3, 2))
    uniform(make_rng(1), torch.zeros(3, 2))
    assert torch.equal(torch.get_rng_state(), before)


def test_as_many_streams_as_rows_are_needed():
    with pytest.raises(ValueError, match="4 rows asked of 3 streams"):
        normal(Streams(0, 0, range(3)), torch.zeros(4, 2))
