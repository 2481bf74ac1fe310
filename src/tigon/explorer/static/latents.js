// Latents, and the two directions of the latent space that the plane shows.

const dot = (a, b) => a.reduce((sum, value, k) => sum + value * b[k], 0);

/** Return the directions along two coordinates; with one latent there is no second. */
export function pair(dim, i, j) {
  const unit = (k) => Array.from({ length: dim }, (_, at) => (at === k ? 1 : 0));
  return [unit(i), dim > 1 ? unit(j) : unit(-1)];
}

/** Return where a latent is in the plane. */
export const project = (z, [across, up]) => [dot(z, across), dot(z, up)];

/** Return `anchor` moved within the plane to a point of it. */
export function lift(anchor, [across, up], [u, v]) {
  const [a, b] = project(anchor, [across, up]);
  return anchor.map((value, k) => value + (u - a) * across[k] + (v - b) * up[k]);
}

/** Return the latent at `part` of the way from `start` to `end`. */
export const between = (start, end, part) =>
  start.map((value, k) => value + part * (end[k] - value));

/** Return a latent, or a point, in words. */
export const said = (values) =>
  values.length <= 4
    ? `(${values.map((value) => value.toFixed(2)).join(", ")})`
    : `(${values.slice(0, 3).map((value) => value.toFixed(2)).join(", ")}, …)`;
