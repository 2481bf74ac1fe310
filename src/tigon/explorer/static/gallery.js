// The training images as buttons, in their own card.

import { make } from "./dom.js";

export class Gallery {
  #note;
  #buttons;
  #verb;
  #picked;

  /** Fill a card; `verb` says what a click does, and `picked(index)` does it. */
  constructor(card, verb, picked) {
    this.#note = card.querySelector(".note");
    this.#buttons = card.querySelector(".thumbs");
    [this.#verb, this.#picked] = [verb, picked];
  }

  /** Show images with these names; one without a picture is shown as a number. */
  show(names, pictures, note) {
    this.#note.textContent = note;
    this.#buttons.classList.toggle("many", names.length > 60);
    this.#buttons.replaceChildren(...names.map((name, index) => {
      const button = make("button", { type: "button", className: "thumb", title: name });
      button.setAttribute("aria-label", `${this.#verb} ${name}`);
      if (pictures[index]) button.append(pictures[index]);
      else button.textContent = String(index + 1);
      button.addEventListener("click", () => this.#picked(index));
      return button;
    }));
  }

  /** Mark one of them as selected. */
  mark(chosen) {
    [...this.#buttons.children].forEach((button, index) =>
      button.setAttribute("aria-pressed", String(index === chosen)));
  }
}
