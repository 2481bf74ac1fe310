"""Tables 1 and 2: shapes of every layer, and what the options do."""

import pytest
import torch
from torch import nn

from tigon.densities.log_density import evaluated
from tigon.errors import TigonError
from tigon.nn.dcgan import ConvDescriptor, DCGANGenerator
from tigon.sizes import sides


def shapes_of(module, x, kinds):
    """The output shapes of all layers of these kinds, in order of use."""
    seen = []
    hooks = [
        layer.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape[1:])))
        for layer in module.modules()
        if isinstance(layer, kinds)
    ]
    out = module(x)
    for hook in hooks:
        hook.remove()
    return seen, out


@pytest.mark.parametrize("kernel_size", [4, 5])
@pytest.mark.parametrize("norm", ["none", "group", "batch"])
def test_generator_has_the_shapes_of_table_1(kernel_size, norm):
    network = DCGANGenerator(2, 64, kernel_size=kernel_size, norm=norm)
    kinds = (nn.Linear, nn.ConvTranspose2d)
    seen, images = shapes_of(network, torch.zeros(3, 2), kinds)
    assert seen == [(512 * 16,), (256, 8, 8), (128, 16, 16), (64, 32, 32), (3, 64, 64)]
    assert images.shape == (3, 3, 64, 64)
    assert images.abs().max() <= 1
    kernels = {layer.kernel_size for layer in network.modules() if hasattr(layer, "kernel_size")}
    assert kernels == {(kernel_size, kernel_size)}


def test_generators_norm_follows_every_layer_but_the_last():
    network = DCGANGenerator(2, 64, norm="batch")
    widths = [
        layer.num_features for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)
    ]
    assert widths == [512, 256, 128, 64]
    assert not [m for m in DCGANGenerator(2).modules() if isinstance(m, nn.BatchNorm2d)]


def test_descriptor_has_the_shapes_of_table_2():
    network = ConvDescriptor(64, norm="batch")
    seen, scores = shapes_of(network, torch.zeros(3, 3, 64, 64), (nn.Conv2d, nn.Linear))
    assert seen == [(64, 32, 32), (128, 32, 32), (1,)]
    assert scores.shape == (3,)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.kernel_size, c.stride) for c in convolutions] == [
        ((4, 4), (2, 2)),
        ((2, 2), (1, 1)),
    ]
    widths = [
        layer.num_features for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)
    ]
    assert widths == [64, 128]


@pytest.mark.parametrize("image_size", [8, 16, 32, 128, 28, 56, (48, 64), (64, 48), (8, 40)])
@pytest.mark.parametrize("channels", [1, 3])
def test_other_sizes_and_grey_images(image_size, channels):
    images = DCGANGenerator(5, image_size, channels, width=4)(torch.zeros(2, 5))
    assert images.shape == (2, channels, *sides(image_size))
    assert ConvDescriptor(image_size, channels, width=4)(images).shape == (2,)


@pytest.mark.parametrize("size", [8, 64, 1024])
def test_a_power_of_two_begins_with_4_x_4(size):
    with torch.device("meta"):
        assert DCGANGenerator(2, size, width=2).seed_shape[1:] == (4, 4)


def test_initial_activations_neither_vanish_nor_explode(rng):
    network = DCGANGenerator(100, 64, rng=rng)
    z = torch.randn(16, 100, generator=rng)
    before_tanh = network.rest[:-1](network.first(z).unflatten(1, network.seed_shape))
    assert 0.5 < before_tanh.std() < 3
    images = torch.randn(16, 3, 64, 64, generator=rng)
    assert 0.3 < ConvDescriptor(64, rng=rng)(images).std() < 10


def test_the_descriptor_of_bytes_sees_0_to_255(rng):
    network = ConvDescriptor(8, width=4, bytes_range=True, rng=rng)
    plain = ConvDescriptor(8, width=4)
    plain.load_state_dict(network.state_dict())
    images = torch.rand(2, 3, 8, 8, generator=rng) * 2 - 1
    assert torch.allclose(network(images), plain((images + 1) * 127.5))


@pytest.mark.parametrize("image_size", [8, (48, 64), (8, 40)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("norm", "bytes_range"), [("none", False), ("none", True), ("group", False)]
)
def test_the_descriptors_own_gradient_is_that_of_autograd(
    image_size, channels, norm, bytes_range, rng
):
    network = ConvDescriptor(image_size, channels, 4, norm, bytes_range, rng).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, generator=rng)
    images = torch.randn(3, channels, *sides(image_size), dtype=torch.double, generator=rng)
    value, gradient = network.value_and_grad(images)
    expected, its = evaluated(network, images)
    assert not value.requires_grad and not gradient.requires_grad
    assert torch.allclose(value, expected, rtol=1e-12)
    assert torch.allclose(gradient, its, rtol=1e-9, atol=1e-9 * its.abs().max())


def test_a_network_that_changes_the_descriptor_keeps_its_gradient(rng):
    class Doubled(ConvDescriptor):
        def forward(self, images):
            return 2 * super().forward(images)

    network, images = Doubled(8, width=4, rng=rng), torch.randn(2, 3, 8, 8, generator=rng)
    assert torch.equal(network.value_and_grad(images)[1], evaluated(network, images)[1])


def test_the_descriptors_own_gradient_has_the_precision_that_is_asked_for(rng):
    network, images = ConvDescriptor(16, width=8, rng=rng), torch.rand(3, 3, 16, 16, generator=rng)
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = network.value_and_grad(images), evaluated(network, images)
    assert all(map(torch.equal, found, expected))
    assert not torch.equal(found[1], network.value_and_grad(images)[1])


def test_weights_depend_on_the_given_generator_alone():
    def weights(seed):
        return DCGANGenerator(2, 8, width=4, rng=torch.Generator().manual_seed(seed)).first.weight

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: DCGANGenerator(2, 60),
            "4 to 7, doubled to 8 to 1024, not 60; the nearest are 56 and 64",
        ),
        (lambda: DCGANGenerator(2, 4), "doubled to 8 to 1024, not 4; the nearest are 8 and 10"),
        (lambda: DCGANGenerator(2, (50, 64)), "not 50x64; the nearest are 48x64 and 56x64"),
        (
            lambda: DCGANGenerator(2, (64, 2000)),
            "not 64x2000; the nearest are 64x1024 and 80x1024",
        ),
        (lambda: DCGANGenerator(2, 8, kernel_size=3), "4 or 5, not 3"),
        (lambda: DCGANGenerator(2, 8, norm="layer"), "none, group, batch, not 'layer'"),
        (lambda: ConvDescriptor(9), "even and at least 8, not 9; the nearest are 8 and 10"),
        (lambda: ConvDescriptor((16, 9)), "not 16x9; the nearest are 16x8 and 16x10"),
    ],
)
def test_what_cannot_be_built_is_refused(build, message):
    with pytest.raises((ValueError, TigonError), match=message):
        build()


@pytest.mark.parametrize("numbers", [{"width": 0}, {"channels": 0}, {"latent_dim": 0}])
def test_layers_without_weights_are_refused(numbers):
    with pytest.raises(ValueError, match="must be at least 1"):
        DCGANGenerator(**{"latent_dim": 2, "image_size": 8, **numbers})
