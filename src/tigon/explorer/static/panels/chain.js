// A chain that synthesises a picture, and its sliders.

import { Chart, short } from "../chart.js";
import { canvases, find, make, paint, save, whole } from "../dom.js";
import { Gallery } from "../gallery.js";

const PLACES = 200;
const PACES = [1, 2, 5, 10, 20, 50, 0];

const logarithmic = (low, high) => ({
  value: (place) => low * (high / low) ** (place / PLACES),
  place: (value) => PLACES * Math.log(value / low) / Math.log(high / low),
});

/** The sliders: how positions map to numbers, and how numbers are displayed. */
function scales({ step_size, steps, grids }) {
  const hot = logarithmic(1e-6, 10);
  const most = Math.max(500, 20 * steps);
  return {
    temperature: {
      title: "Temperature T",
      value: (place) => (place === 0 ? 0 : hot.value(place)),
      place: (value) => (value === 0 ? 0 : Math.max(1, hot.place(value))),
      said: short,
    },
    step_size: { title: "Step size s", ...logarithmic(step_size / 20, step_size * 20), said: short },
    steps: {
      title: grids > 1 ? "Steps on each grid" : "Steps",
      value: (place) => Math.round(logarithmic(1, most).value(place)),
      place: logarithmic(1, most).place,
      said: String,
    },
    pace: {
      title: "Steps per second",
      value: (place) => PACES[Math.min(PACES.length - 1, Math.round(place / PLACES * (PACES.length - 1)))],
      place: (value) => PACES.indexOf(value) / (PACES.length - 1) * PLACES,
      said: (value) => (value ? `at most ${value}` : "as fast as possible"),
    },
  };
}

export function chain({ link }) {
  const density = new Chart(find("density-chart"), { title: "Log-density, nats, up to a constant" });
  const accept = new Chart(find("chain-accept-chart"), { title: "Metropolis acceptance", range: [0, 1] });
  const state = { id: 0, settings: null, learned: null, rows: [], image: 0, running: false, held: false, begun: false };
  let sliders = {};

  const gallery = new Gallery(find("chain-images"), "Start from", (index) => {
    state.image = index;
    find("start-kind").value = "image";
    gallery.mark(index);
    start();
  });

  function build(numbers) {
    const learned = { temperature: numbers.temperature, step_size: numbers.step_size, steps: numbers.steps, pace: 10 };
    state.learned = learned;
    state.settings ??= { ...learned };
    find("sliders").replaceChildren(...Object.entries(scales(numbers)).map(([name, scale]) => {
      const input = make("input", { type: "range", min: "0", max: String(PLACES), step: "1", id: `slide-${name}` });
      const output = make("output", { htmlFor: input.id });
      const label = make("label", { htmlFor: input.id, textContent: scale.title });
      const tell = () => {
        output.textContent = scale.said(state.settings[name]);
        input.setAttribute("aria-valuetext", output.textContent);
      };
      input.addEventListener("input", () => {
        state.settings[name] = scale.value(Number(input.value));
        tell();
        link.send({ type: "change", settings: state.settings });
      });
      sliders[name] = () => { input.value = String(Math.round(scale.place(state.settings[name]))); tell(); };
      sliders[name]();
      return make("div", { className: "slider" }, label, output, input);
    }));
  }

  function start() {
    Object.assign(state, { id: link.number, running: true, held: false, begun: true });
    density.clear();
    accept.clear();
    link.send({
      type: "synthesise", id: state.id, start: find("start-kind").value,
      image: state.rows[state.image] ?? 0, seed: whole(find("chain-seed")), settings: state.settings,
    });
    buttons();
  }

  function buttons() {
    find("hold").disabled = find("stop").disabled = !state.running;
    find("hold").textContent = state.held ? "Resume" : "Hold";
    find("synthesise").textContent = state.begun ? "Restart" : "Synthesise";
  }

  function finish(text) {
    state.running = false;
    find("chain-status").textContent = text;
    buttons();
  }

  link.on("model", (model) => {
    state.rows = model.rows;
    state.image = Math.min(state.image, model.rows.length - 1);
    state.grids = model.chain.grids;
    build(model.chain);
    const which = model.chain.shared ? "all chains start at the mean image" : "choose where the chain starts";
    gallery.show(model.names, canvases(model.arrays.thumbnails), model.note || which);
    gallery.mark(state.image);
    find("start-kind").querySelector("[value=mean]").disabled = Boolean(model.note);
    find("chain-note").hidden = !model.chain.takes_every_step;
    find("start-kind").querySelector("[value=noise]").disabled = !model.chain.noise;
    if (state.running) start();
    else if (!state.begun) find("chain-status").textContent = "No chain yet: press Synthesise";
  });
  link.on("synthesising", (message) => {
    if (message.id !== state.id) return;
    if (!state.running) { state.running = true; buttons(); }
    const { values, shape } = message.arrays.pixels;
    const canvas = paint(find("chain-picture"), values, shape[1], shape[2]);
    density.add(message.step, message.log_density);
    accept.add(message.step, message.accept);
    const grid = state.grids > 1 ? ` on the grid of ${message.grid}` : "";
    find("chain-status").textContent = `Step ${message.step} of ${message.steps}${grid}, s = ${short(message.step_size)}`;
    canvas.setAttribute("aria-label", `Picture of the chain after step ${message.step}`);
    canvas.dispatchEvent(new CustomEvent("painted", { detail: message.step }));
  });
  link.on("ended", ({ id, reason }) => {
    if (id !== state.id) return;
    const steps = density.last ?? 0;
    finish(reason ? `Ended after ${steps} steps: ${reason}` : `Arrived after ${steps} steps`);
  });
  link.on("error", ({ of, id, message }) => {
    if (of === "synthesise" && id === state.id) finish(message);
  });
  link.on("gone", () => {
    if (state.running) find("chain-status").textContent = "The server is not reachable; the chain starts again when it is back";
  });

  find("synthesise").addEventListener("click", start);
  find("stop").addEventListener("click", () => link.send({ type: "stop", id: state.id }));
  find("hold").addEventListener("click", () => {
    state.held = !state.held;
    link.send({ type: state.held ? "hold" : "go", id: state.id });
    buttons();
  });
  find("as-learned").addEventListener("click", () => {
    Object.assign(state.settings, state.learned, { pace: state.settings.pace });
    for (const tell of Object.values(sliders)) tell();
    link.send({ type: "change", settings: state.settings });
  });
  find("save-chain").addEventListener("click", () => save(find("chain-picture"), "synthesised.png"));
}
