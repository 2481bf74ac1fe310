// Where one looks in the latent space: what all panels of latents share, and tell one another.

export class Look extends EventTarget {
  dim = 0;
  kept = []; // the latent that one stays at
  name = ""; // of what is there, if anything
  anchor = []; // what was picked last: where coordinates are that cannot be seen
  anchorName = "";

  on(type, listener) { this.addEventListener(type, ({ detail }) => listener(detail)); }

  /** Look at a latent for a moment; `started` is when what led here happened. */
  at(z, name, started) { this.#tell("at", { z, name, started }); }

  /** Stay at a latent. */
  stay(z, name) {
    [this.kept, this.name] = [z, name];
    this.#tell("stay", {});
  }

  /** Take a latent as the one that all others are seen from. */
  from(z, name) {
    const moved = this.anchor !== z;
    [this.anchor, this.anchorName] = [z, name];
    this.#tell("from", { moved });
  }

  /** Go to a latent, stay there, and see all others from it. */
  go(z, name) {
    this.from(z, name);
    this.stay(z, name);
    this.at(z, name);
  }

  /** Look again at where one stays. */
  back() { this.at(this.kept, this.name); }

  /** Begin at the centre, unless there are as many coordinates as before; returns whether it does. */
  begin(dim) {
    if (dim === this.dim) return false;
    this.dim = dim;
    [this.kept, this.anchor] = [Array(dim).fill(0), Array(dim).fill(0)];
    [this.name, this.anchorName] = ["", ""];
    return true;
  }

  /** Show the paths of chains: latents of all chains after each step, and which chain is best. */
  follow(history, best) { this.#tell("follow", { history, best }); }

  #tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}
