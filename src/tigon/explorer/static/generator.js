// A generator's part of the page: the latent plane, the picture, and the training images.

import { canvases, colour, find, make, paint, save } from "./dom.js";
import { inference } from "./inference.js";
import { lift, pair, project, said } from "./latents.js";
import { interpolation } from "./line.js";
import { Plane } from "./plane.js";

const CELLS = 11, RECENT = 60;

export function generator(link, decoder) {
  const state = {
    dim: 0, latents: [], names: [], thumbs: [], directions: [], principal: [], principalNames: [],
    z: [], kept: [], keptName: "", anchor: [], anchorName: "",
  };
  const times = [];
  let filling = 0;
  const canvas = find("picture");
  const plane = new Plane(find("plane"), {
    moved: (point, kept, event) => move(point, kept, event),
    left: () => look(state.kept, state.keptName),
    picked: (index) => pick(index),
  });
  const here = { state, plane, decoder, link, go, redraw };
  const lines = interpolation(here);
  const own = inference(here);

  /** Look at a latent; `kept` says whether to stay there. */
  function look(z, name, event) {
    state.z = z;
    plane.at = project(z, state.directions);
    plane.draw();
    decoder.ask("point", [z], (pixels, milliseconds) => show(z, name, pixels, milliseconds, event));
  }

  function keep(z, name) {
    [state.kept, state.keptName] = [z, name];
    plane.kept = project(z, state.directions);
    plane.chosen = state.latents.indexOf(z);
    find("plane-where").textContent = `${name ? `${name}, ` : ""}${words(plane.kept)}`;
    mark();
  }

  /** Go to a latent and stay there; what the plane does not show is taken from it. */
  function go(z, name) {
    const changed = state.anchor !== z;
    [state.anchor, state.anchorName] = [z, name];
    keep(z, name);
    look(z, name);
    others();
    if (changed && state.dim > 2) background();
  }

  function move(point, kept, event) {
    const started = { handled: performance.now(), happened: event.timeStamp };
    const z = lift(state.anchor, state.directions, point);
    if (kept) keep(z, "");
    look(z, "", started);
  }

  function pick(index) { go(state.latents[index], state.names[index]); }

  function show(z, name, pixels, milliseconds, started) {
    paint(canvas, pixels.values, pixels.shape[1], pixels.shape[2]);
    const text = `${name ? `${name}, ` : ""}z = ${said(z)}`;
    find("picture-where").textContent = text;
    canvas.setAttribute("aria-label", `Picture decoded at ${text}`);
    requestAnimationFrame(() => {
      const now = performance.now();
      const detail = { z, milliseconds, handled: started && now - started.handled, happened: started && now - started.happened };
      if (started) timed(detail.handled, milliseconds);
      canvas.dispatchEvent(new CustomEvent("painted", { detail }));
    });
  }

  function timed(latency, milliseconds) {
    times.push(latency);
    if (times.length > RECENT) times.shift();
    const median = [...times].sort((a, b) => a - b)[times.length >> 1];
    find("latency").textContent = `${median.toFixed(0)} ms from pointer to picture (median of ${times.length}), decoded in ${milliseconds.toFixed(0)} ms`;
  }

  const words = ([u, v]) => `${plane.names[0]} ${u.toFixed(2)}${state.dim > 1 ? `, ${plane.names[1]} ${v.toFixed(2)}` : ""}`;

  /** Say where the coordinates are that the plane does not show. */
  function others() {
    find("others").hidden = state.dim <= 2;
    const zero = state.anchor.every((value) => value === 0);
    find("others-zero").disabled = zero;
    find("others-text").textContent = `The other ${state.dim - 2} ${state.dim === 3 ? "coordinate is" : "coordinates are"} ${zero ? "0" : `those of ${state.anchorName || "the point picked"}`}.`;
  }

  function mark() {
    [...find("images").children].forEach((button, index) =>
      button.setAttribute("aria-pressed", String(index === plane.chosen)));
  }

  /** Show the plane along the directions that are chosen. */
  function turn() {
    const principal = state.dim <= 2 || find("axes-kind").value === "principal";
    const [i, j] = [Number(find("axis-x").value) || 0, Number(find("axis-y").value) || 0];
    state.directions = principal ? state.principal : pair(state.dim, i, j);
    const names = principal ? state.principalNames : [`z${i + 1}`, `z${j + 1}`];
    for (const label of document.querySelectorAll(".pair")) label.hidden = principal;
    plane.place(state.latents.map((z) => project(z, state.directions)), names);
    keep(state.kept, state.keptName);
    plane.at = plane.kept;
    redraw();
    background();
  }

  function redraw() {
    lines.project();
    own.project();
    plane.draw();
  }

  /** Fill the plane with pictures anew, one row after the other, once nothing changes any more. */
  function background() {
    plane.backdrop = null;
    plane.draw();
    decoder.drop("grid");
    clearTimeout(filling);
    if (find("backdrop").checked) filling = setTimeout(fill, 200);
  }

  function fill() {
    const sheet = make("canvas");
    const ticks = Array.from({ length: CELLS }, (_, k) => plane.reach * (2 * (k + 0.5) / CELLS - 1));
    const row = (k) => {
      const latents = ticks.map((u) => lift(state.anchor, state.directions, [u, -ticks[k]]));
      decoder.ask("grid", latents, (pixels) => {
        const [, height, width] = pixels.shape;
        const side = Math.max(height, width); // the plane is square, and so are its cells
        if (!k) sheet.width = sheet.height = CELLS * side;
        canvases(pixels).forEach((cell, at) => sheet.getContext("2d")
          .drawImage(cell, at * side + (side - width) / 2, k * side + (side - height) / 2));
        plane.backdrop = sheet;
        plane.draw();
        if (k + 1 < CELLS) row(k + 1);
      });
    };
    row(0);
  }

  function choices() {
    find("axes").hidden = state.dim <= 2;
    for (const [id, chosen] of [["axis-x", 0], ["axis-y", 1]]) {
      const options = Array.from({ length: state.dim }, (_, k) => make("option", { value: String(k), textContent: `z${k + 1}` }));
      find(id).replaceChildren(...options);
      find(id).value = String(chosen);
    }
  }

  function gallery() {
    find("images").classList.toggle("many", state.thumbs.length > 60);
    find("images").replaceChildren(...state.names.map((name, index) => {
      const button = make("button", { type: "button", className: "thumb", title: name });
      button.setAttribute("aria-label", `Go to ${name}`);
      if (state.thumbs[index]) button.append(state.thumbs[index]);
      else button.textContent = String(index + 1);
      button.addEventListener("click", () => pick(index));
      return button;
    }));
  }

  link.on("model", (model) => {
    const { thumbnails, latents, directions } = model.arrays;
    const rows = ({ values, shape: [count, width] }) =>
      Array.from({ length: count }, (_, k) => Array.from(values.subarray(k * width, (k + 1) * width)));
    const fresh = state.dim !== model.dim;
    Object.assign(state, {
      dim: model.dim, names: model.names, latents: rows(latents), thumbs: canvases(thumbnails),
      principal: rows(directions), principalNames: model.plane,
    });
    plane.thumbs = state.thumbs;
    const shown = model.names.length < model.count ? `${model.names.length} of ${model.count}` : `${model.count}`;
    find("images-note").textContent = model.note || `${shown} at their inferred latents`;
    const again = state.names.indexOf(state.keptName);
    if (fresh) {
      state.anchor = state.kept = Array(model.dim).fill(0);
      choices();
    }
    gallery();
    turn();
    if (again >= 0) pick(again); else look(state.kept, state.keptName);
    others();
    lines.reset(fresh);
    own.resume();
  });

  find("backdrop").addEventListener("change", background);
  for (const id of ["axes-kind", "axis-x", "axis-y"]) find(id).addEventListener("change", () => {
    if (find("axis-x").value === find("axis-y").value) {
      const other = id === "axis-x" ? "axis-y" : "axis-x";
      find(other).value = String((Number(find(id).value) + 1) % state.dim);
    }
    turn();
  });
  find("others-zero").addEventListener("click", () => {
    const [u, v] = plane.kept;
    state.anchor = Array(state.dim).fill(0);
    const z = lift(state.anchor, state.directions, [u, v]);
    keep(z, "");
    look(z, "");
    others();
    background();
  });
  find("save-picture").addEventListener("click", () => save(canvas, "picture.png"));
  find("save-plane").addEventListener("click", () => {
    const sheet = make("canvas", { width: find("plane").width, height: find("plane").height });
    const context = sheet.getContext("2d");
    context.fillStyle = colour("plane");
    context.fillRect(0, 0, sheet.width, sheet.height);
    context.drawImage(find("plane"), 0, 0);
    save(sheet, "latent-plane.png");
  });
}
