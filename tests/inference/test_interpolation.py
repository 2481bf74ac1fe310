import pytest
import torch

from tigon.inference.interpolation import arc, changed, latent_plane, line


def test_the_grid_runs_right_and_up_as_axes_do():
    plane = latent_plane(torch.randn(9, 2))
    grid = plane.grid(torch.tensor([-2.0, 0.0, 2.0]))
    assert grid[0].tolist() == [-2, 2]
    assert grid[2].tolist() == [2, 2]
    assert grid[6].tolist() == [-2, -2]
    assert plane.names == ("z1", "z2")


def test_with_more_latents_the_plane_is_that_of_most_variance(rng):
    scales = torch.tensor([0.1, 3.0, 0.2, 2.0])
    latents = torch.randn(5000, 4, generator=rng) * scales
    plane = latent_plane(latents)
    expected = torch.eye(4)[[1, 3]]
    assert torch.allclose(plane.directions.abs(), expected, atol=0.05)
    variances = plane.coordinates(latents).var(0)
    assert torch.allclose(variances, torch.tensor([9.0, 4.0]), rtol=0.1)


def test_one_latent_has_an_axis():
    plane = latent_plane(torch.randn(5, 1))
    assert plane.coordinates(torch.tensor([[2.0]])).tolist() == [[2.0, 0.0]]
    assert plane.grid(torch.tensor([-1.0, 1.0])).flatten().tolist() == [-1, 1, -1, 1]


def test_a_line_goes_from_end_to_end_in_even_steps():
    points = line(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 3.0]), 5)
    assert points[0].tolist() == [0, 1] and points[-1].tolist() == [1, 3]
    assert torch.allclose(points.diff(dim=0), torch.tensor([0.25, 0.5]).expand(4, 2))


def test_an_arc_turns_by_even_angles_while_its_norm_changes_evenly(rng):
    start, end = torch.randn(2, 50, generator=rng, dtype=torch.float64)
    points = arc(start, 2 * end, 7)
    assert torch.allclose(points[0], start) and torch.allclose(points[-1], 2 * end)
    norms = points.norm(dim=1)
    assert torch.allclose(norms.diff(), norms.diff().mean().expand(6))
    cosines = (points[1:] * points[:-1]).sum(1) / (norms[1:] * norms[:-1])
    assert torch.allclose(cosines, cosines.mean().expand(6))
    assert line(start, end, 3)[1].norm() < 0.8 * arc(start, end, 3)[1].norm()


def test_an_arc_between_equal_directions_is_a_line():
    z = torch.tensor([0.6, 0.8])
    assert torch.allclose(arc(z, 3 * z, 3), torch.stack([z, 2 * z, 3 * z]))


@pytest.mark.parametrize("end", [[0.0, 0.0], [-2.0, 0.0]])
def test_an_arc_that_does_not_exist_is_refused(end):
    with pytest.raises(ValueError, match="arc"):
        arc(torch.tensor([1.0, 0.0]), torch.tensor(end), 3)


def test_the_difference_of_two_sets_is_added():
    minus, plus = torch.tensor([[0.0, 1.0], [0.0, 3.0]]), torch.tensor([[5.0, 0.0]])
    assert changed(torch.tensor([1.0, 1.0]), minus, plus).tolist() == [6.0, -1.0]
