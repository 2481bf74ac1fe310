// From one latent to another: a slider, and a strip of pictures.

import { canvases, find, paint, save } from "./dom.js";
import { between, project, said } from "./latents.js";

export function interpolation({ state, plane, decoder, look }) {
  const ends = { start: null, end: null };
  const strip = find("strip");

  function set(which, z, name) {
    ends[which] = { z, name: name || said(z) };
    find(`line-${which}-name`).textContent = ends[which].name;
    show();
  }

  /** Decode both ends and the strip between them, and draw the line on the plane. */
  function show() {
    if (!ends.start || !ends.end) return;
    decoder.ask("end", [ends.start.z, ends.end.z], (pixels) => {
      const size = pixels.values.length / 2;
      ["start", "end"].forEach((which, k) => {
        const canvas = find(`line-${which}`);
        paint(canvas, pixels.values.subarray(k * size, (k + 1) * size), pixels.shape[1], pixels.shape[2]);
        canvas.setAttribute("aria-label", `${which}: ${ends[which].name}`);
      });
    });
    const count = Number(find("line-count").value);
    const steps = Array.from({ length: count }, (_, k) => between(ends.start.z, ends.end.z, k / (count - 1)));
    decoder.ask("strip", steps, (pixels) => {
      const [, height, width] = pixels.shape;
      [strip.width, strip.height] = [width * count, height];
      canvases(pixels).forEach((one, k) => strip.getContext("2d").drawImage(one, k * width, 0));
      strip.setAttribute("aria-label", `${count} pictures from ${ends.start.name} to ${ends.end.name}`);
      strip.dispatchEvent(new CustomEvent("painted"));
    });
    place();
    plane.draw();
  }

  function place() {
    const points = ends.start && ends.end ? [ends.start.z, ends.end.z] : [];
    plane.segment = points.length ? points.map((z) => project(z, state.directions)) : null;
  }

  /** Start with the first two training images, or keep the selection if it still exists. */
  function reset(fresh) {
    if (fresh) ends.start = ends.end = null;
    for (const [k, which] of ["start", "end"].entries()) {
      const again = ends[which] && state.names.indexOf(ends[which].name);
      const index = fresh || !ends[which] ? Math.min(k, state.names.length - 1) : again;
      if (state.latents[index]) ends[which] = { z: state.latents[index], name: state.names[index] };
      find(`line-${which}-name`).textContent = ends[which]?.name ?? which;
    }
    show();
  }

  find("line-part").addEventListener("input", () => {
    if (!ends.start || !ends.end) return;
    const part = Number(find("line-part").value);
    find("line-part-value").textContent = part.toFixed(2);
    find("line-part").setAttribute("aria-valuetext", `${Math.round(100 * part)} % of the way`);
    look.go(between(ends.start.z, ends.end.z, part), part === 0 ? ends.start.name : part === 1 ? ends.end.name : `${Math.round(100 * part)} % of the way`);
  });
  find("line-count").addEventListener("change", show);
  find("as-start").addEventListener("click", () => set("start", look.kept, look.name));
  find("as-end").addEventListener("click", () => set("end", look.kept, look.name));
  find("save-strip").addEventListener("click", () => save(strip, "interpolation.png"));
  return { reset, project: place };
}
