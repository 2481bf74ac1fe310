import pytest
import torch

from learned import run_of
from tigon.cli.main import main
from tigon.densities.gaussian import Gaussian
from tigon.errors import TigonError
from tigon.export.load import load
from tigon.inference.compose import Composed
from tigon.random.streams import RowRng


def model(**options):
    return load(run_of("descriptor", start="mean-image", **options))


def drawn(found, count=3):
    return found.sample(count, RowRng(0, 0, range(count)))


def test_a_product_of_halves_of_a_model_is_the_model():
    whole = model()
    assert torch.allclose(drawn(Composed([whole, whole])), drawn(whole), atol=1e-5)


@pytest.mark.parametrize("way", ["product", "mixture"])
def test_images_come_from_the_composed_density_on_every_grid(way):
    one, two = model(), model(seed=1)
    weights = [1.0, 0.0] if way == "product" else [1.0, 1e-300]
    assert torch.allclose(drawn(Composed([one, two], weights, way)), drawn(one), atol=1e-5)
    both = Composed([one, two], None, way)
    assert not torch.allclose(drawn(both), drawn(one), atol=1e-3)
    images = drawn(one)
    densities = torch.stack([m.log_density(images) for m in (one, two)])
    wanted = densities.mean(0) if way == "product" else (densities.exp() / 2).sum(0).log()
    if way == "mixture":
        wanted = densities.logsumexp(0) - torch.tensor(2.0).log()
    assert torch.allclose(both.log_density(images), wanted, rtol=1e-4)


def test_images_do_not_depend_on_those_that_are_drawn_with_them():
    both = Composed([model(), model(seed=1)])
    rows = range(1, 3)
    assert torch.allclose(both.sample_rows(rows, RowRng(0, 0, rows)), drawn(both)[1:], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"models": 1}, "two models or more"),
        ({"other": "generator"}, "model 2 of 2 has no log-density"),
        ({"grids": 1}, "have the same grids, not 3x8x8; "),
        ({"weights": [1.0]}, "2 log-densities and 1 weights"),
        ({"way": "sum"}, "way must be one of product, mixture, not 'sum'"),
        ({"way": "mixture", "weights": [1.0, -1.0]}, "must be above 0"),
        ({"weights": [-5.0, 1.0]}, r"with weights \[-5.0, 1.0\] images are ever more probable"),
        ({"weights": [1.0, -1.0]}, "raise the weights, so that their sum"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(change, said):
    models = [model(), model()][: change.get("models", 2)]
    if "other" in change:
        models[1] = load(run_of(change["other"]))
    if "grids" in change:
        models = [load(run_of("descriptor", grids=1)), load(run_of("descriptor", image_size=16))]
    with pytest.raises(TigonError, match=said) as caught:
        Composed(models, change.get("weights"), change.get("way", "product"))
    assert "\n" not in str(caught.value)


def test_references_count_by_their_precision():
    wide, narrow = model(), model(seed=1)
    wide.reference = Gaussian(0.0, 1.0)
    for grid in narrow.grids:
        grid.reference = Gaussian(0.0, 0.5)  # of four times the precision
    assert drawn(Composed([wide, narrow], [-1.0, 0.6])).isfinite().all()
    with pytest.raises(TigonError, match="ever more probable"):
        Composed([wide, narrow], [1.0, -0.3])


@pytest.fixture
def folders():
    return [str(run_of("descriptor")), str(run_of("descriptor", seed=1))]


def test_images_of_several_models_are_drawn_from_the_command_line(folders, tmp_path, capsys):
    out = tmp_path / "both.png"
    words = ["--weights", "1", "-0.5", "--temperature", "2", "--count", "4", "--out", str(out)]
    assert main(["sample", *folders, *words]) == 0
    assert out.exists() and "4 images" in capsys.readouterr().out
    assert main(["sample", *folders, "--mixture", "--out", str(tmp_path / "m.npz")]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--weights", "1"], "--weights: 1 number for 2 models; give one for each"),
        (["--temperature", "0"], "temperature must be above 0"),
        (["--weights", "-5", "1"], "raise the weights, so that their sum"),
        (["--size", "16"], "--size 16: is for one texture; images of several models together"),
        (["--periodic"], "--periodic: is for one texture; images of several models together"),
        (["--mixture", "--weights", "1", "-1"], "weights of a mixture must be above 0"),
    ],
)
def test_bad_options_are_refused_in_one_line(folders, words, said, tmp_path, capsys):
    assert main(["sample", *folders, *words, "--out", str(tmp_path / "x.png")]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "x.png").exists()
    assert main(["sample", folders[0], "--mixture", "--out", str(tmp_path / "x.png")]) == 2
    assert "--mixture: is for two models or more" in capsys.readouterr().err
