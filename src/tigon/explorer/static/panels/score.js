// How unusual the user's own picture is: its scores, their percentiles, and a map.

import { short } from "../chart.js";
import { find, make, opaque, paint, whole } from "../dom.js";

export function score({ link, run, own }) {
  const [height, width] = run.image_size;
  const state = { pixels: null, name: "", id: 0, running: false, scored: false, iteration: 0 };

  function status(text) { find("score-status").textContent = text; }

  function start() {
    Object.assign(state, { id: link.number, running: true, scored: false });
    if (!link.send({ type: "score", id: state.id, seed: whole(find("score-seed")) }, state.pixels)) {
      finish("The server is not reachable");
      return;
    }
    find("score-progress").value = 0;
    status(`Scoring ${state.name}`);
    buttons();
  }

  function buttons() {
    find("score-stop").disabled = find("score-progress").hidden = !state.running;
    find("score-again").disabled = !state.pixels;
  }

  function finish(text) {
    state.running = false;
    buttons();
    status(text);
  }

  const named = () => `${state.name}, scored at iteration ${state.iteration}`;

  link.on("scoring", ({ id, step, steps }) => {
    if (id !== state.id || !state.running) return;
    find("score-progress").value = step / steps;
    status(`Step ${step} of ${steps} of the chains that infer the latent of ${state.name}`);
  });
  link.on("scored", (message) => {
    if (message.id !== state.id || !state.running) return;
    state.scored = true;
    find("score-view").hidden = false;
    paint(find("score-own"), opaque(state.pixels, width * height), height, width);
    paint(find("score-map"), message.arrays.map.values, height, width);
    find("score-white").textContent = short(message.white);
    find("score-table").tBodies[0].replaceChildren(...message.scores.map(row));
    find("score-why").textContent = message.why;
    find("score-why").hidden = !message.why;
    const beside = message.calibrated ? `, beside ${message.calibrated} images that the run held out` : "";
    status(`${named()}${beside}`);
    find("score-map").dispatchEvent(new CustomEvent("painted", { detail: message.finished }));
  });
  link.on("calibrating", ({ id, done, count }) => {
    if (id !== state.id || !state.running) return;
    find("score-progress").value = done / count;
    status(`${named()}; for percentiles, ${done} of ${count} held-out images are scored`);
  });
  link.on("ended", ({ id, reason }) => {
    if (id !== state.id || !state.running) return;
    if (!reason) finish(find("score-status").textContent);
    else finish(state.scored ? `${named()}; percentiles ended early (${reason})` : `Ended early (${reason})`);
  });
  link.on("error", ({ of, id, message }) => {
    if (of === "score" && id === state.id) finish(message);
  });
  link.on("gone", () => {
    if (state.running) status("The server is not reachable; the picture is scored again when it is back");
  });
  link.on("model", (model) => {
    state.iteration = model.iteration;
    find("score-remark").textContent = model.score.remarks.join(" ");
    find("score-remark").hidden = !model.score.remarks.length;
    if (state.running) start(); // again, where it was interrupted
  });
  own.on(({ pixels, name }) => {
    Object.assign(state, { pixels, name });
    start();
  });

  find("score-again").addEventListener("click", start);
  find("score-stop").addEventListener("click", () => link.send({ type: "stop", id: state.id }));
}

/** Return the row of a score: its name, its value, and its percentile if it has one. */
function row({ name, value, percentile }) {
  const cells = [short(value), percentile === null ? "–" : percentile.toFixed(1)];
  const head = make("th", { textContent: name.replaceAll("_", " ") });
  head.setAttribute("scope", "row");
  return make("tr", {}, head, ...cells.map((text) => make("td", { textContent: text })));
}
