// Requests pictures of latents: one request at a time for each place; only the latest one waits.

export class Decoder {
  #places = new Map();
  #link;

  constructor(link) {
    this.#link = link;
    link.on("decoded", (message) => this.#answered(message));
    link.on("error", ({ of, id }) => { if (of === "decode") this.#failed(id); });
    link.on("gone", () => this.#lost());
    link.on("model", () => this.#lost());
    document.addEventListener("visibilitychange", () => this.#all());
  }

  /** Decode latents; `done` is called with their pictures, unless another request came first. */
  ask(place, latents, done) {
    const state = this.#places.get(place) ?? { wanted: null, flying: null };
    this.#places.set(place, state);
    state.wanted = { latents: latents.map((z) => Array.from(z)), done };
    this.#next(place, state);
  }

  /** Cancel requests for a place; a picture in flight is not shown. */
  drop(place) { this.#places.delete(place); }

  #next(place, state) {
    if (state.flying || !state.wanted || document.hidden) return;
    const id = this.#link.number;
    if (!this.#link.send({ type: "decode", id, place, latents: state.wanted.latents })) return;
    state.flying = { ...state.wanted, id };
    state.wanted = null;
  }

  #answered(message) {
    const state = this.#places.get(message.place);
    if (state?.flying?.id !== message.id) return;
    const { done } = state.flying;
    state.flying = null;
    this.#next(message.place, state);
    done(message.arrays.pixels, message.milliseconds);
  }

  #failed(id) {
    for (const [place, state] of this.#places) {
      if (state.flying?.id !== id) continue;
      state.flying = null;
      this.#next(place, state);
    }
  }

  /** Forget requests to a server that is gone, or for a model that is no longer shown. */
  #lost() { this.#places.clear(); }

  #all() { for (const [place, state] of this.#places) this.#next(place, state); }
}
