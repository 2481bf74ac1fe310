// Images drawn from the model, which every model can show.

import { canvases, find, save, whole } from "../dom.js";

export function pictures({ link }) {
  const sheet = find("drawn");
  let id = 0;

  function draw() {
    const [count, seed] = [Number(find("draw-count").value), whole(find("draw-seed"))];
    id = link.number;
    if (link.send({ type: "draw", id, count, seed })) find("draw-status").textContent = "Drawing";
  }

  link.on("model", draw);
  link.on("drawn", (message) => {
    if (message.id !== id) return;
    const made = canvases(message.arrays.pixels);
    const [count, height, width] = message.arrays.pixels.shape;
    const columns = Math.ceil(Math.sqrt(count));
    const gap = Math.max(1, width >> 5);
    const [across, down] = [width + gap, height + gap];
    [sheet.width, sheet.height] = [columns * across - gap, Math.ceil(count / columns) * down - gap];
    made.forEach((one, k) =>
      sheet.getContext("2d").drawImage(one, (k % columns) * across, Math.floor(k / columns) * down));
    sheet.setAttribute("aria-label", `${count} pictures with seed ${message.seed}, ${columns} in a row`);
    find("draw-status").textContent = `${count} draws with seed ${message.seed}, not selected`;
    sheet.dispatchEvent(new CustomEvent("painted"));
  });
  link.on("error", ({ of, id: which, message }) => {
    if (of === "draw" && which === id) find("draw-status").textContent = message;
  });

  find("draw-count").addEventListener("change", draw);
  find("draw-seed").addEventListener("change", draw);
  find("draw-others").addEventListener("click", () => {
    find("draw-seed").value = String(whole(find("draw-seed")) + 1);
    draw();
  });
  find("save-drawn").addEventListener("click", () => save(sheet, "pictures.png"));
}
