// The latent of the user's own picture: watch the chains that infer it.

import { Chart } from "../chart.js";
import { find, opaque, paint, whole } from "../dom.js";

export function inference({ link, run, look, own }) {
  const [height, width] = run.image_size;
  const error = new Chart(find("error-chart"), { title: "Error of the best chain", axis: "log" });
  const accept = new Chart(find("accept-chart"), { title: "Mean acceptance", range: [0, 1], marks: [0.574] });
  const current = { pixels: null, name: "", id: 0, running: false, history: [], best: 0, last: null };

  own.on(({ pixels, name }) => {
    Object.assign(current, { pixels, name });
    find("infer-view").hidden = false;
    paint(find("own"), opaque(pixels, width * height), height, width);
    start();
  });

  function status(text) { find("infer-status").textContent = text; }

  function start() {
    if (!current.pixels) return;
    Object.assign(current, { id: link.number, history: [], running: true, last: null });
    error.clear();
    accept.clear();
    const [starts, seed] = [whole(find("starts")), whole(find("infer-seed"))];
    link.send({ type: "infer", id: current.id, starts, seed }, current.pixels);
    buttons();
  }

  function buttons() {
    find("infer-stop").disabled = !current.running;
    find("infer-again").disabled = !current.pixels;
  }

  function finish(text) {
    current.running = false;
    buttons();
    status(text);
  }

  link.on("inferring", (message) => {
    if (message.id !== current.id || !current.running) return;
    const { values, shape: [chains, dim] } = message.arrays.latents;
    const step = Array.from({ length: chains }, (_, k) => Array.from(values.subarray(k * dim, (k + 1) * dim)));
    current.history.push(step);
    [current.best, current.last] = [message.best, message];
    look.follow(current.history, message.best);
    paint(find("found"), message.arrays.pixels.values, height, width);
    error.add(message.step, message.error);
    if (message.accept !== null) accept.add(message.step, message.accept);
    const { step: done, steps, temperature } = message;
    status(`Step ${done} of ${steps}, temperature of the likelihood ${Number(temperature.toPrecision(3))}, error ${message.error.toFixed(4)}`);
  });
  link.on("ended", ({ id, reason }) => {
    if (id !== current.id || !current.running) return;
    const found = current.history.at(-1)?.[current.best];
    if (!found || !current.last) { finish(reason); return; }
    finish(`${reason ? `Ended early (${reason})` : "Done"}: error ${current.last.error.toFixed(4)} after ${current.last.step} steps, ${current.history[0].length} chains`);
    find("found").dataset.latent = JSON.stringify(found);
    look.go(found, current.name);
  });
  link.on("error", ({ of, id, message }) => {
    if (of === "infer" && id === current.id) finish(message);
  });
  link.on("gone", () => {
    if (current.running) status("The server is not reachable; the inference starts again when it is back");
  });

  link.on("model", () => { // infer again where an inference was interrupted
    if (current.running) { start(); return; }
    current.history = [];
    look.follow([], -1);
  });

  find("infer-again").addEventListener("click", start);
  find("infer-stop").addEventListener("click", () => link.send({ type: "stop", id: current.id }));
}
