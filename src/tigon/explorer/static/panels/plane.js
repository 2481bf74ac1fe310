// The latent plane, with the training images at their latents, and the line between two latents.

import { canvases, colour, find, make, save } from "../dom.js";
import { Gallery } from "../gallery.js";
import { lift, pair, project } from "../latents.js";
import { interpolation } from "../line.js";
import { Plane } from "../plane.js";

const CELLS = 11;

export function plane({ link, decoder, look }) {
  const state = { latents: [], names: [], directions: [], principal: [], principalNames: [] };
  let paths = { history: [], best: -1 };
  let filling = 0;
  const map = new Plane(find("plane"), {
    moved: (point, kept, event) => move(point, kept, event),
    left: () => look.back(),
    picked: (index) => pick(index),
  });
  const gallery = new Gallery(find("plane-images"), "Go to", pick);
  const lines = interpolation({ state, plane: map, decoder, look });

  function move(point, kept, event) {
    const started = { handled: performance.now(), happened: event.timeStamp };
    const z = lift(look.anchor, state.directions, point);
    if (kept) look.stay(z, "");
    look.at(z, "", started);
  }

  function pick(index) {
    if (state.latents[index]) look.go(state.latents[index], state.names[index]);
  }

  look.on("at", ({ z }) => {
    map.at = project(z, state.directions);
    map.draw();
  });
  look.on("stay", () => {
    map.kept = project(look.kept, state.directions);
    map.chosen = state.latents.indexOf(look.kept);
    find("plane-where").textContent = `${look.name ? `${look.name}, ` : ""}${words(map.kept)}`;
    gallery.mark(map.chosen);
  });
  look.on("from", ({ moved }) => {
    others();
    if (moved && look.dim > 2) background();
  });
  look.on("follow", ({ history, best }) => {
    const goes = history.length > 1 && map.trails[0]?.length === history.length - 1;
    paths = { history, best };
    if (goes) history.at(-1).forEach((z, k) => map.trails[k].push(project(z, state.directions)));
    else trails();
    map.best = best;
    map.draw();
  });

  function trails() {
    const chains = paths.history[0]?.length ?? 0;
    map.trails = Array.from({ length: chains }, (_, k) =>
      paths.history.map((step) => project(step[k], state.directions)));
  }

  const words = ([u, v]) => `${map.names[0]} ${u.toFixed(2)}${look.dim > 1 ? `, ${map.names[1]} ${v.toFixed(2)}` : ""}`;

  /** Say which values the coordinates have that the plane does not show. */
  function others() {
    find("others").hidden = look.dim <= 2;
    const zero = look.anchor.every((value) => value === 0);
    find("others-zero").disabled = zero;
    find("others-text").textContent = `The other ${look.dim - 2} ${look.dim === 3 ? "coordinate is" : "coordinates are"} ${zero ? "0" : `those of ${look.anchorName || "the selected point"}`}.`;
  }

  /** Show the plane along the selected directions. */
  function turn() {
    const principal = look.dim <= 2 || find("axes-kind").value === "principal";
    const [i, j] = [Number(find("axis-x").value) || 0, Number(find("axis-y").value) || 0];
    state.directions = principal ? state.principal : pair(look.dim, i, j);
    const names = principal ? state.principalNames : [`z${i + 1}`, `z${j + 1}`];
    for (const label of document.querySelectorAll(".pair")) label.hidden = principal;
    map.place(state.latents.map((z) => project(z, state.directions)), names);
    look.stay(look.kept, look.name);
    map.at = map.kept;
    lines.project();
    trails();
    background();
  }

  /** Refill the plane with pictures, row by row, once nothing changes any more. */
  function background() {
    map.backdrop = null;
    map.draw();
    decoder.drop("grid");
    clearTimeout(filling);
    if (find("backdrop").checked) filling = setTimeout(fill, 200);
  }

  function fill() {
    const sheet = make("canvas");
    const ticks = Array.from({ length: CELLS }, (_, k) => map.reach * (2 * (k + 0.5) / CELLS - 1));
    const row = (k) => {
      const latents = ticks.map((u) => lift(look.anchor, state.directions, [u, -ticks[k]]));
      decoder.ask("grid", latents, (pixels) => {
        const [, height, width] = pixels.shape;
        const side = Math.max(height, width); // the plane is square, and so are its cells
        if (!k) sheet.width = sheet.height = CELLS * side;
        canvases(pixels).forEach((cell, at) => sheet.getContext("2d")
          .drawImage(cell, at * side + (side - width) / 2, k * side + (side - height) / 2));
        map.backdrop = sheet;
        map.draw();
        if (k + 1 < CELLS) row(k + 1);
      });
    };
    row(0);
  }

  function choices() {
    find("axes").hidden = look.dim <= 2;
    for (const [id, chosen] of [["axis-x", 0], ["axis-y", 1]]) {
      const options = Array.from({ length: look.dim }, (_, k) => make("option", { value: String(k), textContent: `z${k + 1}` }));
      find(id).replaceChildren(...options);
      find(id).value = String(chosen);
    }
  }

  /** Offer principal directions if there are latents that have some. */
  function offer(known) {
    find("axes-kind").disabled = !known;
    if (!known) find("axes-kind").value = "pair";
  }

  link.on("model", (model) => {
    const { thumbnails, latents, directions } = model.arrays;
    const rows = ({ values, shape: [count, width] }) =>
      Array.from({ length: count }, (_, k) => Array.from(values.subarray(k * width, (k + 1) * width)));
    const fresh = look.begin(model.plane.dim);
    const known = rows(latents);
    Object.assign(state, {
      latents: known, names: model.names.slice(0, known.length),
      principal: rows(directions), principalNames: model.plane.names,
    });
    map.thumbs = canvases(thumbnails);
    const shown = state.names.length < model.count ? `${state.names.length} of ${model.count}` : `${model.count}`;
    find("plane-images").hidden = !known.length;
    gallery.show(state.names, map.thumbs, model.note || `${shown} at their inferred latents`);
    offer(known.length > 0);
    if (fresh) choices();
    const again = state.names.indexOf(look.name);
    turn();
    if (again >= 0) {
      look.from(state.latents[again], look.name);
      look.stay(state.latents[again], look.name);
    }
    others();
    lines.reset(fresh);
  });

  find("backdrop").addEventListener("change", background);
  for (const id of ["axes-kind", "axis-x", "axis-y"]) find(id).addEventListener("change", () => {
    if (find("axis-x").value === find("axis-y").value) {
      const other = id === "axis-x" ? "axis-y" : "axis-x";
      find(other).value = String((Number(find(id).value) + 1) % look.dim);
    }
    turn();
  });
  find("others-zero").addEventListener("click", () => {
    const zeros = Array(look.dim).fill(0);
    const z = lift(zeros, state.directions, map.kept);
    look.from(zeros, "");
    look.stay(z, "");
    look.at(z, "");
  });
  find("save-plane").addEventListener("click", () => {
    const sheet = make("canvas", { width: find("plane").width, height: find("plane").height });
    const context = sheet.getContext("2d");
    context.fillStyle = colour("plane");
    context.fillRect(0, 0, sheet.width, sheet.height);
    context.drawImage(find("plane"), 0, 0);
    save(sheet, "latent-plane.png");
  });
}
