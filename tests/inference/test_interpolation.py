import torch

from tigon.inference.interpolation import latent_plane, line


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
