// Images drawn from the model, which every model can show.

import { find, save, tile, whole } from "../dom.js";

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
    const columns = tile(sheet, message.arrays.pixels);
    const [count] = message.arrays.pixels.shape;
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
