// The current point in the latent space: what all panels of latents share, and tell one another.

export class Look extends EventTarget {
  dim = 0;
  kept = []; // the selected latent
  name = ""; // name of what is there, if anything
  anchor = []; // the last selection: the values of coordinates that the plane does not show
  anchorName = "";

  on(type, listener) { this.addEventListener(type, ({ detail }) => listener(detail)); }

  /** Preview a latent; `started` is the time of the event that led here. */
  at(z, name, started) { this.#tell("at", { z, name, started }); }

  /** Select a latent. */
  stay(z, name) {
    [this.kept, this.name] = [z, name];
    this.#tell("stay", {});
  }

  /** Make a latent the anchor of the plane. */
  from(z, name) {
    const moved = this.anchor !== z;
    [this.anchor, this.anchorName] = [z, name];
    this.#tell("from", { moved });
  }

  /** Select a latent and make it the anchor of the plane. */
  go(z, name) {
    this.from(z, name);
    this.stay(z, name);
    this.at(z, name);
  }

  /** Return to the selected latent. */
  back() { this.at(this.kept, this.name); }

  /** Start at the centre if the number of coordinates has changed; return whether it has. */
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
