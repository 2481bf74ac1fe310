"""Bad run folders: refused in one line with status 2, and no code of theirs runs."""

import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from bad_input import TINY, Bomb, check, copied_run, right_sums

SAMPLE = "sample run --count 2 --out s.npz"
GO_ON = f"train generator --data data.npz --out run {' '.join(TINY)}"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run, as `run` in an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return copied_run(tmp_path)


def config(old, new):
    """Replace text in config.toml."""

    def change(run):
        text = (run / "config.toml").read_text()
        assert old in text
        (run / "config.toml").write_text(text.replace(old, new, 1))

    return change


def write(name, data):
    """Write a file of the run."""
    return lambda run: (run / name).write_bytes(data.encode() if isinstance(data, str) else data)


def tensors(name, change, run="run"):
    """Change the tensors of a file of the checkpoint, and its checksum with them."""

    def apply(folder):
        path = folder.with_name(run) / "checkpoints" / "3" / f"{name}.safetensors"
        held = load_file(path)
        change(held)
        save_file(held, path)
        right_sums(path.parent)

    return apply


def state(change):
    """Change what training.pt holds, and its checksum with it."""

    def apply(run):
        path = run / "checkpoints" / "3" / "training.pt"
        torch.save(change(torch.load(path, weights_only=True)), path)
        right_sums(path.parent)

    return apply


def raw(name, data):
    """Replace a file of the checkpoint, and its checksum with it."""

    def apply(run):
        path = run / "checkpoints" / "3" / name
        path.write_bytes(data(path.read_bytes()))
        right_sums(path.parent)

    return apply


def first(held):
    return sorted(held)[0]


CONFIGS = {
    "syntax error": (
        write("config.toml", 'recipe = "gen'),
        r"config.toml: cannot be read \(.*[Ss]tring",
    ),
    "no UTF-8": (
        write("config.toml", b"recipe = '\xff'"),
        r"config.toml: cannot be read \('utf-8'",
    ),
    "nothing": (write("config.toml", ""), "config.toml: recipe and data are both needed, as text"),
    "deep brackets": (
        write("config.toml", "a = " + "[" * 9999),
        r"config.toml: cannot be read \(",
    ),
    "number of 5000 digits": (
        config("seed = 0", f"seed = {'9' * 5000}"),
        "config.toml: cannot be",
    ),
    "number of 400 digits": (
        config("sigma = 0.3", f"sigma = {'9' * 400}"),
        "sigma is too large: 2",
    ),
    "unknown name": (
        config("latent_dim =", "latent_dm ="),
        "config.toml: unknown name latent_dm; it may",
    ),
    "wrong type": (config("latent_dim = 2", "latent_dim = 'two'"), "latent_dim is int, not 'two'"),
    "megabytes": (config("latent_dim = 2", f"latent_dim = '{'x' * 10**6}'"), "is int, not 'x{79}"),
    "out of range": (
        config("latent_dim = 2", "latent_dim = 0"),
        "latent_dim must be at least 1, not 0",
    ),
    "not a number": (config("sigma = 0.3", "sigma = nan"), "sigma is float or learn, not nan"),
    "table for a number": (
        config("latent_dim = 2", "latent_dim = {}"),
        "latent_dim is int, not {}",
    ),
    "no table": (config("[network]", "[net]"), "config.toml: unknown name net; it may be"),
    "recipe missing": (config('recipe = "generator"', ""), "recipe and data are both needed"),
    "unknown recipe": (config('"generator"', '"gan"'), "recipe 'gan': there are generator"),
    "other recipe": (config('"generator"', '"descriptor"'), "config.toml: unknown name "),
    "other image size": (
        config("image_size = 8", "image_size = 16"),
        "checkpoints/3 does not fit",
    ),
    "odd image size": (config("image_size = 8", "image_size = 9"), "checkpoints/3 does not fit"),
    "other latents": (config("latent_dim = 2", "latent_dim = 3"), "does not fit its run's config"),
    "folder": (lambda run: remade(run / "config.toml"), "run run: is not a run folder"),
}
CHECKPOINTS = {
    "file missing": (lambda run: (run / "checkpoints/3/model.safetensors").unlink(), "is damaged"),
    "manifest missing": (
        lambda run: (run / "checkpoints/3/manifest.json").unlink(),
        "no valid mani",
    ),
    "manifest lying": (
        write("checkpoints/3/manifest.json", '{"sha256": {"model.safetensors": "00"}}'),
        r"checkpoints/3 is damaged \(no valid manifest.*start a new run",
    ),
    "manifest of brackets": (
        write("checkpoints/3/manifest.json", "[" * 9999),
        "no valid manifest",
    ),
    "manifest a list": (write("checkpoints/3/manifest.json", "[1]"), "no valid manifest"),
    "truncated": (
        lambda run: os.truncate(run / "checkpoints/3/model.safetensors", 99),
        r"checkpoints/3 is damaged \(wrong checksum of model.safetensors\).*start a new run",
    ),
    "truncated, checksum right": (raw("model.safetensors", lambda d: d[:-9]), "does not fit"),
    "header of brackets": (
        raw("model.safetensors", lambda d: d[:8] + b"[" * 9999),
        "does not fit",
    ),
    "tensor missing": (tensors("model", lambda t: t.pop(first(t))), "does not fit.*Missing key"),
    "tensor too many": (tensors("model", lambda t: t.update(a=torch.ones(1))), "Unexpected key"),
    "tensor of another shape": (
        tensors("model", lambda t: t.update({first(t): torch.ones(7)})),
        "does not fit its run's config .*size mismatch",
    ),
    "name that is no number": (lambda run: (run / "checkpoints" / "\u00b2").mkdir(), ""),
}
CHAINS = {
    "chains missing": (tensors("chains", lambda t: t.pop("points")), "does not fit"),
    "chains of another shape": (
        tensors("chains", lambda t: t.update(points=torch.ones(3, 5))),
        r"does not fit its run's config .*chain rows \(3, 5\), not \(3, 2\)",
    ),
    "step size of two chains": (
        tensors("chains", lambda t: t.update(step_size=torch.ones(2))),
        "does not fit",
    ),
    "step size beyond all numbers": (
        tensors("chains", lambda t: t.update(step_size=torch.tensor(1e300, dtype=torch.float64))),
        "does not fit",
    ),
}


def remade(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("case", CONFIGS)
def test_a_config_that_was_edited_wrongly_is_refused(capsys, run, case):
    change, said = CONFIGS[case]
    change(run)
    check(capsys, run, SAMPLE, said)


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_a_checkpoint_that_is_damaged_is_refused(capsys, run, case):
    change, said = CHECKPOINTS[case]
    change(run)
    check(capsys, run, SAMPLE, said)


@pytest.mark.parametrize("case", CHAINS)
def test_chains_that_are_damaged_are_refused_by_what_goes_on_with_them(capsys, run, case):
    change, said = CHAINS[case]
    change(run)
    check(capsys, run, GO_ON, said, "run")


DESCRIPTORS = {
    "starts missing": lambda t: t.pop("model.starts"),
    "starts of another shape": lambda t: t.update({"model.starts": torch.ones(3, 3, 4, 4)}),
    "starts without rows": lambda t: t.update({"model.starts": torch.ones(0, 3, 8, 8)}),
    "starts that are whole numbers": lambda t: t.update(
        {"model.starts": torch.ones(3, 3, 8, 8).int()}
    ),
    "factor of two numbers": lambda t: t.update({"model.step_factor": torch.ones(2)}),
}


@pytest.mark.parametrize("case", DESCRIPTORS)
def test_start_images_that_do_not_fit_are_refused(capsys, run, case):
    tensors("model", DESCRIPTORS[case], run="descriptor")(run)
    line = "sample descriptor --count 2 --out s.npz"
    check(capsys, run, line, "checkpoint descriptor/checkpoints/3 does not fit")


STATES = {
    "list": (state(lambda s: [1, 2]), "checkpoints/3 does not fit"),
    "nothing": (state(lambda s: {}), "checkpoints/3 does not fit"),
    "iteration a word": (state(lambda s: s | {"iteration": "two"}), "checkpoints/3 does not fit"),
    "other moments": (
        state(lambda s: s | {"optimizer": resized(s["optimizer"])}),
        "checkpoints/3 does not fit",
    ),
    "moments that overlap": (
        state(
            lambda s: s | {"optimizer": resized(s["optimizer"], lambda t: t[:1].expand(t.shape))}
        ),
        "checkpoints/3 does not fit",
    ),
    "step below 0": (
        state(lambda s: s | {"optimizer": resized(s["optimizer"], lambda t: t, -1.0)}),
        "checkpoints/3 does not fit",
    ),
    "text": (raw("training.pt", lambda d: b"no archive"), "training.pt|does not fit"),
    "cut short": (raw("training.pt", lambda d: d[:-99]), "training.pt|does not fit"),
    "zero bytes": (raw("training.pt", lambda d: b""), "training.pt|does not fit"),
}


def resized(optimizer, change=lambda _: torch.ones(7), step=1.0):
    for moments in optimizer["state"].values():
        moments["exp_avg"] = change(moments["exp_avg"])
        moments["step"] = torch.tensor(step)
    return optimizer


@pytest.mark.parametrize("case", STATES)
def test_a_training_state_that_does_not_fit_is_refused(capsys, run, case):
    change, said = STATES[case]
    change(run)
    assert "weights_only" not in check(capsys, run, GO_ON, said, "run").err


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_a_malicious_pickle_does_not_run_though_its_checksum_is_right(capsys, run, kind):
    checkpoint = run / "checkpoints" / "3"
    bomb = Bomb(run.parent / "exploded")
    torch.save(
        {"optimizer": bomb},
        checkpoint / "training.pt",
        _use_new_zipfile_serialization=kind == "zip",
    )
    right_sums(checkpoint)
    outcome = check(capsys, run, GO_ON, "checkpoint run/checkpoints/3.*training.pt", "run")
    assert not (run.parent / "exploded").exists()
    assert "weights_only" not in outcome.err  # no advice to load it all the same


def test_a_run_that_is_whole_goes_on(capsys, run):
    """So that nothing above is refused for another reason."""
    assert check(capsys, run, GO_ON, "", "run").status == 0
