"""Chains on a GPU are the same whether their steps are launched one by one or as a graph."""

import pytest
import torch
from torch import nn

from targets import correlated_gaussian
from tigon.densities.graphed import Graphed, tensors_of, with_tensors
from tigon.densities.log_density import frozen
from tigon.mcmc.adaptation import DualAveraging
from tigon.mcmc.chain import MCMC
from tigon.mcmc.kernel import State
from tigon.mcmc.langevin import MALA, Langevin
from tigon.random.streams import RowRng, make_rng

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def network():
    made = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1), nn.Flatten(0)).cuda()
    for weights in made.parameters():
        nn.init.normal_(weights.data, std=0.5, generator=make_rng(0, device="cuda"))
    return made


def ends(chains, density, model, count=7):
    x = torch.randn(count, 3, generator=make_rng(1)).cuda()
    with frozen(model):
        return chains.run(density, x, RowRng(0, 0, range(count)))


@on_a_gpu
@pytest.mark.parametrize(
    "chains", [MCMC(Langevin(0.1), 40), MCMC(MALA(0.5), 40, DualAveraging(0.57))]
)
def test_a_graph_takes_the_steps_of_its_model_wherever_its_weights_are(chains):
    model = network()
    density = lambda x: model(x) - (x**2).sum(1)  # noqa: E731
    graphed = Graphed(density, model)

    def the_same(count=7):
        ours, plain = (ends(chains, each, model, count) for each in (graphed, density))
        assert torch.allclose(ours.x, plain.x, atol=1e-3)
        assert torch.allclose(ours.accept_prob, plain.accept_prob, atol=1e-3)
        return ours.x

    first = the_same()
    with torch.no_grad():
        model[0].weight.mul_(3)
    assert not torch.allclose(the_same(), first, atol=1e-2)
    model[0].weight.data = model[0].weight.data.clone() / 3
    assert torch.allclose(the_same(), first, atol=1e-3)
    the_same(9)
    assert graphed.captures


@on_a_gpu
def test_a_density_that_waits_for_the_gpu_takes_the_same_steps_one_by_one():
    model, chains = network(), MCMC(Langevin(0.1), 20)

    def waits(x):
        return model(x) * (1.0 if x.isfinite().all().item() else 0.0)

    graphed = Graphed(waits, model)
    with pytest.warns(RuntimeWarning, match="cannot be captured"):
        ours = ends(chains, graphed, model)
    assert torch.allclose(ours.x, ends(chains, waits, model).x, atol=1e-4)


def test_on_a_cpu_chains_are_those_of_the_density():
    density, x = correlated_gaussian(), torch.zeros(4, 3, dtype=torch.float64)
    chains = MCMC(MALA(0.5), 40, DualAveraging(0.57))
    ours = chains.run(Graphed(density, nn.Identity()), x, make_rng(0))
    assert torch.equal(ours.x, chains.run(density, x, make_rng(0)).x)


def test_nested_tensors_are_put_back_where_they_were():
    one, two, three = torch.ones(2), torch.zeros(3), torch.zeros(())
    nested = (
        State(one, two, one, two, others=(State(three, one, two, two),)),
        [],
        [(three,)],
        None,
    )
    found = list(tensors_of(nested))
    assert len(found) == 9
    again = with_tensors(nested, iter(found))
    assert isinstance(again[0], State) and isinstance(again[0].others[0], State)
    assert all(a is b for a, b in zip(tensors_of(again), found, strict=True))
    assert again[1:] == nested[1:]
