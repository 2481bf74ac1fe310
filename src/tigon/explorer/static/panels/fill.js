// Fill in what is painted over in a picture: the picture, the brush, and draws as they arrive.

import { short } from "../chart.js";
import { find, make, opaque, paint, save, tile, whole } from "../dom.js";
import { Painter } from "../painter.js";

export function fill({ link, run, own }) {
  const [height, width] = run.image_size;
  const state = { pixels: null, name: "", id: 0, asked: 0, sent: null, running: false, draws: 0, accept: null, evidence: null };
  const painter = new Painter(find("paint"), told);

  function status(text) { find("fill-status").textContent = text; }

  /** Show a picture to be painted over. */
  function take(pixels, name, kept = null) {
    Object.assign(state, { pixels, name });
    painter.show(opaque(pixels, width * height), height, width, kept);
    if (!state.running) status(`${name}: paint over what is to be filled in, and press Fill in`);
  }

  /** Say how much is painted over. */
  function told() {
    const { painted, undoable } = painter.mask;
    const share = (100 * painted / (width * height)).toFixed(0);
    const there = painter.where;
    find("paint-status").textContent = `${painted} of ${width * height} pixels painted over (${share} %)${there ? `; at ${there}` : ""}`;
    find("paint-undo").disabled = !undoable;
    find("paint-clear").disabled = !painted && !undoable;
  }

  function start() {
    if (!state.pixels) { status("There is no picture yet: drop one, or choose a training image"); return; }
    const content = new Uint8Array(state.pixels.length + width * height);
    content.set(state.pixels);
    content.set(painter.mask.kept, state.pixels.length);
    state.sent = { content, chains: whole(find("fill-chains")), seed: whole(find("fill-seed")) };
    send();
  }

  /** Ask for what was asked for, perhaps once more. */
  function send() {
    const { content, chains, seed } = state.sent;
    if (state.running) link.send({ type: "stop", id: state.id });
    Object.assign(state, { id: link.number, draws: 0, accept: null, evidence: null });
    if (!link.send({ type: "fill", id: state.id, chains, seed }, content)) { status("The server is not reachable"); return; }
    state.running = true;
    find("fill-progress").value = 0;
    status("Starting the chains");
    buttons();
  }

  function buttons() {
    find("fill-stop").disabled = find("fill-progress").hidden = !state.running;
  }

  function finish(text) {
    state.running = false;
    buttons();
    status(text);
  }

  const counted = (number) => `${number} ${number === 1 ? "draw" : "draws"}`;

  link.on("filling", (message) => {
    if (message.id !== state.id || !state.running) return;
    const { step, steps, draws, accept, evidence, arrays } = message;
    Object.assign(state, { draws, accept, evidence });
    find("fill-progress").value = step / steps;
    status(`Step ${step} of ${steps}, ${counted(draws)} so far`);
    if (!arrays.pixels) return;
    find("fill-view").hidden = false;
    const [count] = arrays.pixels.shape;
    tile(find("fill-draws"), arrays.pixels);
    const name = arrays.mean ? `the last draw of each of ${count} chains` : `where ${count} chains are; not draws yet`;
    find("fill-draws-name").textContent = name;
    find("fill-draws").setAttribute("aria-label", name);
    for (const which of ["mean", "spread"]) {
      const shown = arrays[which]?.values ?? new Uint8Array(4 * width * height);
      paint(find(`fill-${which}`), shown, height, width);
    }
    find("fill-draws").dispatchEvent(new CustomEvent("painted", { detail: { draws } }));
  });
  link.on("ended", ({ id, reason }) => {
    if (id !== state.id || !state.running) return;
    const accepted = state.accept === null ? "" : `, mean acceptance ${short(state.accept)}`;
    const without = state.evidence !== null && state.evidence < 0
      ? `. Filled in without f(z): the Gaussian of whole images explains the rest better, by ${short(-state.evidence)} nats` : "";
    finish(`${reason ? `Ended early (${reason})` : "Done"}: ${counted(state.draws)}${accepted}${without}`);
  });
  link.on("error", ({ of, id, message }) => {
    if (of === "fill" && id === state.id) finish(message);
    if (of === "image" && id === state.asked) status(message);
  });
  link.on("gone", () => {
    if (state.running) status("The server is not reachable; the chains start again when it is back");
  });
  link.on("image", ({ id, name, arrays }) => {
    if (id === state.asked) take(arrays.pixels.values, name, arrays.kept.values);
  });
  link.on("model", (model) => {
    const none = make("option", { value: "", textContent: model.note ? "none can be read" : "choose one" });
    const options = model.rows.map((row, k) => make("option", { value: String(row), textContent: model.names[k] }));
    find("fill-image").replaceChildren(none, ...(model.note ? [] : options));
    find("fill-image").disabled = Boolean(model.note);
    find("fill-remark").textContent = model.fill.remark;
    find("fill-remark").hidden = !model.fill.remark;
    find("fill-white").textContent = String(model.fill.white);
    if (state.running) send(); // again, where it was interrupted
  });
  own.on(({ pixels, name }) => {
    find("fill-image").value = "";
    state.asked = 0;
    take(pixels, name);
  });

  const size = find("brush-size");
  const sized = () => {
    painter.radius = Number(size.value) / 2;
    find("brush-size-value").textContent = `${size.value} pixels`;
    painter.draw();
  };
  size.max = String(Math.max(2, Math.min(height, width) >> 1));
  size.value = String(Math.max(1, Math.min(height, width) >> 3));
  size.addEventListener("input", sized);
  sized();
  for (const button of document.querySelectorAll(".tool")) button.addEventListener("click", () => {
    painter.use(button.dataset.tool);
    for (const other of document.querySelectorAll(".tool")) other.setAttribute("aria-pressed", String(other === button));
  });
  find("fill-image").addEventListener("change", () => {
    if (!find("fill-image").value) return;
    state.asked = link.number;
    link.send({ type: "image", id: state.asked, image: Number(find("fill-image").value) });
  });
  find("paint-undo").addEventListener("click", () => painter.undo());
  find("paint-clear").addEventListener("click", () => painter.clear());
  find("fill-start").addEventListener("click", start);
  find("fill-stop").addEventListener("click", () => link.send({ type: "stop", id: state.id }));
  find("save-draws").addEventListener("click", () => save(find("fill-draws"), "draws.png"));
  find("save-mean").addEventListener("click", () => save(find("fill-mean"), "mean.png"));
}
