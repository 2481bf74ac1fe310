// The picture that the current latent decodes to.

import { find, paint, save } from "../dom.js";
import { said } from "../latents.js";

const RECENT = 60;

export function picture({ link, decoder, look }) {
  const canvas = find("picture");
  const times = [];

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

  look.on("at", ({ z, name, started }) =>
    decoder.ask("point", [z], (pixels, milliseconds) => show(z, name, pixels, milliseconds, started)));
  link.on("model", (model) => look.begin(model.picture.dim));
  find("save-picture").addEventListener("click", () => save(canvas, "picture.png"));
}
