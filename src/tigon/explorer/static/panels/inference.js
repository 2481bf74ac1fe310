// Your own picture: upload it, and watch the chains that infer its latent.

import { Chart } from "../chart.js";
import { find, notice, paint, whole } from "../dom.js";

const LARGEST = 20 * 2 ** 20;

export function inference({ link, run, look }) {
  const [height, width] = run.image_size;
  const error = new Chart(find("error-chart"), { title: "Error of the best chain", axis: "log" });
  const accept = new Chart(find("accept-chart"), { title: "Mean acceptance", range: [0, 1], marks: [0.574] });
  const current = { pixels: null, name: "", id: 0, running: false, history: [], best: 0, last: null };

  /** Send a file to be read as a picture, then infer its latent. */
  async function upload(file) {
    if (!file) return;
    if (file.size > LARGEST) { refuse(`${file.name}: this file is larger than 20 MB`); return; }
    status(`Reading ${file.name}`);
    try {
      const answer = await fetch("/picture", { method: "POST", body: file });
      if (!answer.ok) { refuse(`${file.name}: ${await answer.text()}`); return; }
      current.pixels = new Uint8Array(await answer.arrayBuffer());
    } catch {
      refuse(`${file.name}: the server did not answer`);
      return;
    }
    current.name = file.name;
    showOwn();
    start();
  }

  function refuse(text) {
    status(text);
    notice(text);
  }

  function status(text) { find("infer-status").textContent = text; }

  function showOwn() {
    find("infer-view").hidden = false;
    const channels = current.pixels.length / (width * height);
    const pixels = new Uint8Array(width * height * 4).map((_, k) =>
      (k % 4 === 3 ? 255 : current.pixels[(k >> 2) * channels + Math.min(k % 4, channels - 1)]));
    paint(find("own"), pixels, height, width);
  }

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

  find("file").addEventListener("change", () => {
    upload(find("file").files[0]);
    find("file").value = "";
  });
  find("infer-again").addEventListener("click", start);
  find("infer-stop").addEventListener("click", () => link.send({ type: "stop", id: current.id }));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragging");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    if (event.dataTransfer.files.length) upload(event.dataTransfer.files[0]);
    else notice("This is not a picture file; drop a picture file");
  });
}
