import pytest
import torch

import tigon
from tigon.models.generator import GeneratorModel
from tigon.nn.dcgan import DCGANGenerator
from tigon.random.streams import RowRng, fine, make_rng, normal, normals, rows, seed_of, uniform


def test_a_rows_noise_depends_on_its_example_alone():
    like = torch.zeros(3, 4)
    together = normal(RowRng(7, 2, [5, 6, 9]), like)
    alone = normal(RowRng(7, 2, [6]), like[:1])
    assert torch.equal(together[1:2], alone)


@pytest.mark.parametrize("other", [(8, 2, 5), (7, 3, 5), (7, 2, 6)])
def test_seed_iteration_and_example_each_change_the_noise(other):
    seed, iteration, index = other
    like = torch.zeros(1, 4)
    noise = normal(RowRng(seed, iteration, [index]), like)
    assert not torch.equal(noise, normal(RowRng(7, 2, [5]), like))


@pytest.mark.parametrize(
    ("one", "other"),
    [((0, 2), (0, 2, 0)), ((2**32, 5), (0, 1, 5)), ((1, 23), (12, 3)), (("a", 1), ("a1",))],
)
def test_different_keys_have_different_seeds(one, other):
    assert seed_of(*one) != seed_of(*other)


def test_draws_for_different_purposes_are_independent():
    like = torch.zeros(1, 4)
    chains = normal(RowRng(7, 2, [5]), like)
    assert not torch.equal(chains, normal(RowRng(7, 2, [5], "sample"), like))


def test_streams_of_different_rows_are_uncorrelated_and_standard_normal():
    noise = normal(RowRng(0, 0, range(200)), torch.zeros(200, 500)).double()
    assert abs(noise.mean()) < 5 / (200 * 500) ** 0.5
    assert abs(noise.var() - 1) < 5 * (2 / (200 * 500)) ** 0.5
    correlation = torch.corrcoef(noise) - torch.eye(200)
    assert correlation.abs().max() < 5.5 / 500**0.5


def test_uniform_draws_one_number_a_row():
    numbers = uniform(RowRng(0, 0, range(2000)), torch.zeros(2000, 3))
    assert numbers.shape == (2000,)
    assert abs(numbers.mean() - 0.5) < 5 * (1 / 12 / 2000) ** 0.5
    assert numbers.min() >= 0 and numbers.max() < 1


@pytest.mark.parametrize("streams", [RowRng(0, 0, range(4000)), make_rng(0)])
def test_uniform_numbers_are_fine_for_points_in_half_precision(streams):
    like = torch.zeros(4000, 3, dtype=torch.bfloat16)
    numbers = uniform(streams, like)
    assert numbers.dtype == torch.float32 and len(numbers.unique()) > 3990
    assert uniform(streams, like.double()).dtype == torch.float64


def test_part_of_the_streams_draws_what_the_whole_does():
    like = torch.zeros(4, 3)
    whole = normal(RowRng(1, 1, range(4)), like)
    streams = RowRng(1, 1, range(4))
    parts = [
        normal(rows(streams, slice(0, 2)), like[:2]),
        normal(rows(streams, slice(2, 4)), like[2:]),
    ]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(), (1,), (2,), (3,), (5, 7), (257,), (3, 16, 17)])
def test_a_rows_draws_are_the_same_bits_whichever_rows_share_the_batch(shape, dtype):
    like = torch.zeros(67, *shape, dtype=dtype)
    all_rows, some_rows = RowRng(7, 2, range(67)), RowRng(7, 2, torch.tensor([66, 1, 13]))
    for draw in (normal, uniform, normal):
        together, alone = draw(all_rows, like), draw(some_rows, like[:3])
        assert torch.equal(together[[66, 1, 13]], alone)
        assert together.dtype == (fine(dtype) if draw is uniform else dtype)
        assert together.is_contiguous()


def test_float32_and_float64_have_the_same_noise():
    single, double = (torch.zeros(50, 9, dtype=dtype) for dtype in (torch.float32, torch.float64))
    one, other = RowRng(0, 0, range(50)), RowRng(0, 0, range(50))
    assert torch.allclose(normal(one, single).double(), normal(other, double), atol=1e-5)
    assert (uniform(one, single).double() - uniform(other, double)).abs().max() < 2**-24


@pytest.mark.parametrize("draw", [normal, uniform])
@pytest.mark.parametrize("numbers", [2, 300])
def test_no_rows_draw_nothing(draw, numbers):
    drawn = draw(RowRng(0, 0, ()), torch.zeros(0, numbers))
    assert drawn.shape == ((0, numbers) if draw is normal else (0,))


@pytest.mark.parametrize("draw", [normal, uniform])
@pytest.mark.parametrize("numbers", [2, 300])
def test_noise_is_where_the_points_are_wherever_the_rng_is(draw, numbers):
    """The device `meta`, which every PyTorch has, stands for a GPU; it holds no numbers."""
    here, there = torch.zeros(3, numbers), torch.zeros(3, numbers, device="meta")
    for rng in (make_rng(0), RowRng(0, 0, range(3))):
        drawn = draw(rng, there)
        assert drawn.device.type == "meta" and drawn.shape == draw(rng, here).shape


def test_a_cpus_generator_gives_another_device_the_noise_of_the_cpu():
    one, other = make_rng(0), make_rng(0)
    normal(one, torch.zeros(3, 2, device="meta"))
    normal(other, torch.zeros(3, 2))
    assert torch.equal(one.get_state(), other.get_state())


def test_a_model_elsewhere_takes_the_generator_of_the_readme():
    model = GeneratorModel(DCGANGenerator(2, 8, width=4), 2).to("meta")
    images = model.decode(model.latents(16, tigon.make_rng(0), torch.zeros(1, device="meta")))
    assert images.shape == (16, 3, 8, 8) and images.device.type == "meta"


def test_no_draw_touches_the_global_generator():
    before = torch.get_rng_state()
    normal(RowRng(0, 0, range(3)), torch.zeros(3, 2))
    normal(RowRng(0, 0, range(3)), torch.zeros(3, 300))
    uniform(make_rng(1), torch.zeros(3, 2))
    assert torch.equal(torch.get_rng_state(), before)


def test_as_many_streams_as_rows_are_needed():
    with pytest.raises(ValueError, match="4 rows requested from 3 streams"):
        normal(RowRng(0, 0, range(3)), torch.zeros(4, 2))


@pytest.mark.parametrize("make", [lambda: make_rng(3), lambda: RowRng(7, 2, [5, 9])])
@pytest.mark.parametrize("shape", [(2, 3), (2, 300)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_several_draws_at_once_are_those_of_as_many_calls(make, shape, dtype):
    like, some, others = torch.zeros(shape, dtype=dtype), make(), make()
    normal(some, like), normal(others, like)
    together = normals(some, like, 3)
    assert torch.equal(together, torch.stack([normal(others, like) for _ in range(3)]))
    assert torch.equal(normal(some, like), normal(others, like))
