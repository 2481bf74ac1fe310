// The user's own picture: dropped anywhere on the page, or chosen; what all panels that take one share.

import { find, notice } from "./dom.js";

const LARGEST = 20 * 2 ** 20;

export class Own extends EventTarget {
  #form;
  #last = 0;

  /** Listen to the page and to the card of the picture; `run` says how pictures are read. */
  constructor({ image_size, fit, channels }) {
    super();
    const how = fit === "crop" ? "the middle, resized to" : "stretched to";
    this.#form = `${how} ${image_size.join(" × ")} pixels${channels === 1 ? ", in grey" : ""}`;
    find("file").addEventListener("change", () => {
      this.#upload(find("file").files[0]);
      find("file").value = "";
    });
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
      if (event.dataTransfer.files.length) this.#upload(event.dataTransfer.files[0]);
      else notice("This is not a picture file; drop a picture file");
    });
  }

  /** Call `listener({ pixels, name })` with the bytes of each picture, (H, W, C), as the model's. */
  on(listener) { this.addEventListener("picture", ({ detail }) => listener(detail)); }

  /** Send a file to be read as a picture; of several at once, the last one counts. */
  async #upload(file) {
    if (!file) return;
    this.#last += 1;
    const number = this.#last;
    if (file.size > LARGEST) { this.#refuse(`${file.name}: this file is larger than 20 MB`); return; }
    this.#say(`Reading ${file.name}`);
    let pixels;
    try {
      const answer = await fetch("/picture", { method: "POST", body: file });
      if (!answer.ok) { this.#refuse(`${file.name}: ${await answer.text()}`); return; }
      pixels = new Uint8Array(await answer.arrayBuffer());
    } catch {
      this.#refuse(`${file.name}: the server did not answer`);
      return;
    }
    if (number !== this.#last) return;
    this.#say(`${file.name}, read as the run's images are: ${this.#form}`);
    this.dispatchEvent(new CustomEvent("picture", { detail: { pixels, name: file.name } }));
  }

  #refuse(text) {
    this.#say(text);
    notice(text);
  }

  #say(text) { find("own-status").textContent = text; }
}
