"""The mistakes that `mutations.py` makes on purpose, one at a time."""

from typing import NamedTuple


class Mutation(NamedTuple):
    """One mistake: in `file` under src/tigon, `old`, found exactly once, becomes `new`."""

    name: str
    file: str
    old: str
    new: str


LANGEVIN, HMC, KERNEL = "mcmc/langevin.py", "mcmc/hmc.py", "mcmc/kernel.py"
TEMPERED, SCALED, ADAPTED = "mcmc/tempered.py", "mcmc/preconditioning.py", "mcmc/adaptation.py"
GENERATIVE, ENERGY = "models/generator.py", "models/energy.py"
NORMAL, DCGAN = "densities/gaussian.py", "nn/dcgan.py"
STORE, STREAMS, PHILOX = "mcmc/store.py", "random/streams.py", "random/philox.py"
TWO_SAMPLES, PROBES, MODES = (
    "diagnostics/two_samples.py",
    "diagnostics/probes.py",
    "diagnostics/modes.py",
)
GENERATOR, EXPANSION, BASE = "learners/generator.py", "learners/expansion.py", "learners/base.py"
SIGMA = "learners/noise.py"

DRIFT = "state.x, size * size, state.gradient, value=0.5"
NOISE = "x.addcmul_(per_row(state.step_size, x), noise(state, self.temperature, rng))"
PROPOSED = "drifted(here).addcmul_(per_row(here.step_size, here.x), drawn)"
HALF = "x.addcmul_(size, momentum, value=0.5)"
TERM = " + return_ratio(here, new, drawn)\n"
PULL = "(old.gradient + new.gradient) * (per_row(old.step_size, drawn) / 2)"
FIRST = "        momentum = torch.addcmul(momentum, size, state.gradient, value=0.5)\n        x ="
LEAP = "    momentum = torch.addcmul(momentum, size, state.gradient, value=0.5)\n    for"
HMC_RATIO = "(new.log_density - state.log_density + kinetic) / self.temperature"
JITTER = "state.step_size * (1 + jitter * (2 * drawn - 1))"
BY_STATE = "state.x.flatten(1)[:, 0].sigmoid()"
SWAP = "1 / self.temperatures[k] - 1 / self.temperatures[k + 1]"
EXCHANGE = "chosen(swapped, hot, cold), chosen(swapped, cold, hot)"
ONE_RNG = "torch.randn(like.shape, generator=rng, dtype=like.dtype, device=rng.device)"
ONE_DRAW = ONE_RNG.replace("like.shape", "like.shape[1:]") + ".expand(like.shape)"
NAMED = "repr((purpose, seed, iteration))"
COUNTER = "block[None], drawn & WORD, index & WORD, index >> 32 & WORD"
TWISTED = 'self.name + b"%d" % i for i in'
INWARDS, RISE = "new.log_density.abs(), log_ratio)", "hot.log_density - cold.log_density"
CENTRE, RECOVERED = "centre - log_size], 1)", "steps.sqrt() / self.gamma * shortfall], 1)"
SHIFT = "        bias.add_(weight @ mean)\n"
TURN = "    weight.copy_(weight @ root)\n"
SQUARES = "-sum_event(squares)"
LOSS = "sum_event(squares).sum() / batch.size"
POOLED = "accepted.mean(1, keepdim=True).expand_as(accepted).reshape(-1)"
FALLS = " * (1 + count / self.delay) ** -self.decay"
ABOUT = " + weight * (1 - weight * centred) * torch.outer(off, off)"
CONTRAST = "f_synthesised.sum() / batch.size - f_observed.sum() / batch.size"
READ = 'on the device of `index`."""\n'
WRITE = 'written twice")\n'
BETWEEN = "    return 2 * between - within - torch.cdist(y, y).mean()"
REFERRED = "    reference = alike(draw(max(REFERENCE, count)).detach().cpu().double())"
AVERAGE = "(1 - weight) * sigma**2 + weight * error"
ERRORS = "mean_over(squares.flatten(1).mean(1), batch)"
FLIP = "        index = index.flip(0)\n"


OF_IMAGES = "self.network(x).to(x.dtype)"


MUTATIONS = [
    Mutation("drift s^2", LANGEVIN, DRIFT, DRIFT.replace("0.5", "1")),
    Mutation("drift s/2", LANGEVIN, DRIFT, DRIFT.replace("size * size", "size")),
    Mutation("unadjusted noise sqrt(2) s", LANGEVIN, NOISE, NOISE[:-1] + ", value=2**0.5)"),
    Mutation("MALA's noise sqrt(2) s", LANGEVIN, PROPOSED, PROPOSED[:-1] + ", value=2**0.5)"),
    Mutation("MALA's noise s^2", LANGEVIN, PROPOSED, PROPOSED.replace(", drawn", " ** 2, drawn")),
    Mutation("noise T, not sqrt(T)", LANGEVIN, "math.sqrt(temperature)", "temperature"),
    Mutation("no proposal term", LANGEVIN, TERM, "\n"),
    Mutation("pull of the proposal alone", LANGEVIN, PULL, PULL.replace("old.gradient + ", "")),
    Mutation("proposal term's sign", LANGEVIN, TERM, TERM.replace("+", "-")),
    Mutation("pull without s", LANGEVIN, PULL, "(old.gradient + new.gradient) / 2"),
    Mutation("pull not halved", LANGEVIN, "drawn, pull, alpha=0.5", "drawn, pull"),
    Mutation("MALA's ratio without 1/T", LANGEVIN, "log_ratio / self.temperature", "log_ratio"),
    Mutation("underdamped noise sqrt(1 - c)", LANGEVIN, "(1 - kept**2)", "(1 - kept)"),
    Mutation("underdamped last half step full", LANGEVIN, HALF, HALF.replace("0.5", "1")),
    Mutation("underdamped first half push full", LANGEVIN, FIRST, FIRST.replace("0.5", "1")),
    Mutation("HMC's momentum T", HMC, "self.temperature**0.5", "self.temperature"),
    Mutation("HMC's ratio without 1/T", HMC, HMC_RATIO, HMC_RATIO.split(" / ")[0]),
    Mutation("no kinetic term", HMC, " + kinetic) /", ") /"),
    Mutation("HMC's last half step full", HMC, "value=1 if left else 0.5", "value=1"),
    Mutation("HMC's first half step full", HMC, LEAP, LEAP.replace("0.5", "1")),
    Mutation("jitter by the state", KERNEL, JITTER, JITTER.replace("drawn", BY_STATE)),
    Mutation("no jitter", KERNEL, JITTER, "state.step_size + 0 * drawn"),
    Mutation("return ratio without jitter", LANGEVIN, TERM, TERM.replace("here", "state")),
    Mutation("accept always", KERNEL, "< probability", "< 1 + probability"),
    Mutation("accept half as often", KERNEL, "< probability", "< probability / 2"),
    Mutation("stale gradient", KERNEL, ", gradient=rows[2])", ")"),
    Mutation("stale log-density", KERNEL, "log_density=rows[1], ", ""),
    Mutation("no way in from density 0", KERNEL, INWARDS, "log_ratio, log_ratio)"),
    Mutation(
        "temperature without the kernel's own", KERNEL, "temperature_of(kernel) * factor", "factor"
    ),
    Mutation("swap ratio's sign", TEMPERED, RISE, " - ".join(reversed(RISE.split(" - ")))),
    Mutation(
        "swap by T, not 1/T", TEMPERED, SWAP, "self.temperatures[k + 1] - self.temperatures[k]"
    ),
    Mutation("swap without the kernel's own T", TEMPERED, "difference / own", "difference"),
    Mutation("swap copies", TEMPERED, EXCHANGE, "chosen(swapped, hot, cold), hot"),
    Mutation("gradient not preconditioned", SCALED, "gradient=state.gradient / scale,", ""),
    Mutation(
        "gradient preconditioned upside down", SCALED, "gradient / scale", "gradient * scale"
    ),
    Mutation("dual averaging's sign", ADAPTED, "= centre - steps", "= centre + steps"),
    Mutation("dual averaging's centre clamped", ADAPTED, CENTRE, RECOVERED),
    Mutation("adaptation's sign", ADAPTED, "(mean - self.target)", "(self.target - mean)"),
    Mutation(
        "a learner's adaptation's sign",
        ADAPTED,
        "(accepted - self.target)",
        "(self.target - accepted)",
    ),
    Mutation("each chain follows its own acceptance", ADAPTED, POOLED, "accepted.reshape(-1)"),
    Mutation("a gain that never falls", ADAPTED, FALLS, ""),
    Mutation(
        "the learner's step size not adapted", GENERATOR, "self._adapt(accepted)\n", "pass\n"
    ),
    Mutation("rows swapped on write", STORE, WRITE, WRITE + FLIP),
    Mutation("rows swapped on read", STORE, READ, READ + FLIP),
    Mutation("chains coupled: one draw", STREAMS, ONE_RNG, ONE_DRAW),
    Mutation("noise by no seed", STREAMS, NAMED, "repr((purpose, iteration))"),
    Mutation("noise by no iteration", STREAMS, NAMED, "repr((purpose, seed))"),
    Mutation("noise by no purpose", STREAMS, NAMED, "repr((seed, iteration))"),
    Mutation("noise by no example", PHILOX, COUNTER, COUNTER.replace("index", "0 * index")),
    Mutation(
        "noise by 32 bits of the example",
        PHILOX,
        COUNTER,
        COUNTER.replace("index >> 32", "0 * index"),
    ),
    Mutation("noise by no draw", PHILOX, COUNTER, COUNTER.replace("drawn", "0 * drawn")),
    Mutation("draws not counted", STREAMS, "        self.drawn += 1\n", ""),
    Mutation(
        "parts' draws not counted",
        STREAMS,
        "each[part] for each in",
        "each[part].copy() for each in",
    ),
    Mutation("one twister", STREAMS, TWISTED, "self.name for i in"),
    Mutation("twisters begin anew", STREAMS, " if rng is None]", "]"),
    Mutation("nine rounds", PHILOX, "ROUNDS = 10", "ROUNDS = 9"),
    Mutation("Philox's keys as they are", PHILOX, "k0 + 0x9E3779B9", "k0"),
    Mutation("half the circle", PHILOX, "(math.pi * 2**-31)", "(math.pi * 2**-32)"),
    Mutation("radius with no root", PHILOX, "xp.sqrt(-2 *", "(-2 *"),
    Mutation("radius of one number", PHILOX, "xp.sqrt(-2 *", "xp.sqrt(-1 *"),
    Mutation("cosines twice", PHILOX, "radius * xp.sin(angle)", "radius * xp.cos(angle)"),
    Mutation("uniform by 31 bits", PHILOX, "words[0] << 21", "(words[0] >> 1) << 21"),
    Mutation(
        "likelihood over pixels averaged",
        GENERATIVE,
        SQUARES,
        "-squares.flatten(1).mean(1)",
    ),
    Mutation("likelihood over sigma", GENERATIVE, "(2 * noise**2)", "(2 * noise)"),
    Mutation("no prior", GENERATIVE, " + self.log_prior(z)", ""),
    Mutation("prior twice", NORMAL, "-sum_event(z**2) / 2", "-sum_event(z**2)"),
    Mutation(
        "no reference density", ENERGY, f"{OF_IMAGES} + self.reference.log_prob(x)", OF_IMAGES
    ),
    Mutation(
        "no gradient of the reference density", ENERGY, "pull.add_(gradient)", "gradient.clone()"
    ),
    Mutation(
        "no slopes of the first layer",
        DCGAN,
        "slopes(back, one, SLOPE, True), first",
        "back, first",
    ),
    Mutation("reference at 0", ENERGY, "Gaussian(loc, scale)", "Gaussian(0.0, scale)"),
    Mutation(
        "likelihood averaged over the batch", GENERATOR, " if self.average_likelihood else 1.0", ""
    ),
    Mutation("loss over sigma", GENERATOR, "/ (2 * sigma**2)", "/ (2 * sigma)"),
    Mutation("loss averaged over pixels", GENERATOR, LOSS, "squares.mean()"),
    Mutation("energy distance's sign within", TWO_SAMPLES, BETWEEN, BETWEEN.replace("- w", "+ w")),
    Mutation(
        "energy distance, pairs between once", TWO_SAMPLES, BETWEEN, BETWEEN.replace("2 *", "")
    ),
    Mutation("only latents whitened", TWO_SAMPLES, REFERRED, REFERRED.replace("alike", "")),
    Mutation("draws not whitened", TWO_SAMPLES, "lambda sets: alike(drawn(sets))", "drawn"),
    Mutation("p-value reversed", TWO_SAMPLES, "(drawn >= observed)", "(drawn <= observed)"),
    Mutation("p-value without the points", TWO_SAMPLES, "(1 + larger) /", "larger /"),
    Mutation("likelihood ratio without the mean", TWO_SAMPLES, " + mean.square().sum(-1))", ")"),
    Mutation("travel over sqrt(d)", PROBES, "(2 * latents.shape[1])", "latents.shape[1]"),
    Mutation("free chains stay", PROBES, "    latents = torch.cat(ends)", "    latents = begin"),
    Mutation("modes' gain reversed", MODES, "torch.nan_to_num(gain,", "torch.nan_to_num(-gain,"),
    Mutation("modes' places not compared", MODES, "(self.apart > CLEARLY)", "(self.apart < 0)"),
    Mutation(
        "residual summed over pixels", GENERATOR, ERRORS, ERRORS.replace("mean(1)", "sum(1)")
    ),
    Mutation(
        "chains not annealed",
        GENERATOR,
        "self.chain_density(batch, self.chain_sigma)",
        "self.chain_density(batch)",
    ),
    Mutation(
        "posterior without its sigma",
        GENERATIVE,
        "likelihood = self._log_likelihood(images, z, sigma, mask)",
        "likelihood = self._log_likelihood(images, z, None, mask)",
    ),
    Mutation(
        "latents given missing values",
        GENERATIVE,
        "is None else squares * mask",
        "is None else squares",
    ),
    Mutation(
        "weights given missing values",
        GENERATOR,
        "squares = squares * batch.mask",
        "squares = squares * 1",
    ),
    Mutation("noise sigma^2", GENERATIVE, "self.sigma * normal", "self.sigma**2 * normal"),
    Mutation("sigma from the residual itself", SIGMA, AVERAGE, f"{AVERAGE}.sqrt()"),
    Mutation("sigma averaged, not its square", SIGMA, AVERAGE, AVERAGE.replace("**2", "")),
    Mutation("variance for sigma", SIGMA, "average.sqrt()", "average"),
    Mutation(
        "each batch for all images", SIGMA, "weight = max(part, 1 / LONGEST)", "weight = 1.0"
    ),
    Mutation("no floor of sigma", SIGMA, ".clamp(min=self.floor)", ""),
    Mutation("expansion without the shift of b", EXPANSION, SHIFT, "        pass\n"),
    Mutation("expansion without the turn of A", EXPANSION, TURN, ""),
    Mutation("expansion by present moments", EXPANSION, "return 1 - part**moved", "return 1.0"),
    Mutation("covariance not averaged", EXPANSION, "weight * now +", "now +"),
    Mutation("the average's identity forgotten", EXPANSION, "add_(1 - weight)", "add_(0)"),
    Mutation("second moment about the mean", EXPANSION, ABOUT, ""),
    Mutation("contrast's sign", BASE, CONTRAST, " - ".join(reversed(CONTRAST.split(" - ")))),
    Mutation(
        "a learned prior's contrast with its sign flipped",
        "learners/latent_ebm.py",
        "self.prior.tilt(self._drawn) - self.prior.tilt(samples)",
        "self.prior.tilt(samples) - self.prior.tilt(self._drawn)",
    ),
    Mutation(
        "draws of the mixture instead of the learned prior",
        "models/energy_prior.py",
        "return self.chains.run(self.log_density, self.base.sample(like, rng), rng).x",
        "return self.base.sample(like, rng)",
    ),
    Mutation(
        "a learned prior without its normal density",
        "models/energy_prior.py",
        "return self.tilt(z) + density_of(self.base)(z)",
        "return self.tilt(z)",
    ),
    Mutation(
        "a mixture that expansion leaves behind",
        "learners/generator.py",
        "            self.model.mixture.map(*affine)\n",
        "            pass\n",
    ),
    Mutation(
        "the contrast of revised images with its sign flipped",
        "learners/cooperative.py",
        "contrasted(observed.to(loss), synthesised.to(loss), ends, coarse)",
        "contrasted(synthesised.to(loss), observed.to(loss), ends, coarse)",
    ),
    Mutation(
        "proposals instead of revised images in the contrast",
        "learners/cooperative.py",
        "network(coarse.images), network(ends)",
        "network(coarse.images), network(self.model.on_grid(proposed))",
    ),
    Mutation(
        "chains that revise start at grey",
        "models/cooperative.py",
        "self.descriptor.run_chains(self.on_grid(images), rng)",
        "self.descriptor.run_chains(0 * self.on_grid(images), rng)",
    ),
    Mutation(
        "a revision that leaves out what is finer than its grid",
        "models/cooperative.py",
        "proposed + enlarged(ends - self.on_grid(proposed), proposed.shape[2:])",
        "enlarged(ends, proposed.shape[2:])",
    ),
]
