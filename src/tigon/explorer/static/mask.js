// What of a picture is painted over: rasterised strokes and rectangles, and undo. It knows no page.

const MOST = 50; // strokes that can be undone

export class Mask {
  #before = [];
  #start;

  /** Begin with nothing painted over, or where `kept` is 0: one byte for each pixel, row by row. */
  constructor(height, width, kept = null) {
    [this.height, this.width] = [height, width];
    this.#start = kept ? Uint8Array.from(kept) : new Uint8Array(height * width).fill(1);
    this.kept = this.#start.slice();
  }

  /** The number of pixels that are painted over. */
  get painted() { return this.kept.reduce((sum, value) => sum + (value === 0), 0); }

  get undoable() { return this.#before.length > 0; }

  /** Remember the mask as it is, for `undo`. */
  begin() {
    this.#before.push(this.kept.slice());
    if (this.#before.length > MOST) this.#before.shift();
  }

  /** Return to what was there before the last `begin`; return whether there was one. */
  undo() {
    if (!this.undoable) return false;
    this.kept = this.#before.pop();
    return true;
  }

  /** Return to what was there at the start; this can be undone, too. */
  clear() {
    this.begin();
    this.kept = this.#start.slice();
  }

  /** Paint over (0), or uncover (1), pixels whose centre is within `radius` of a line of points. */
  stroke([x0, y0], [x1, y1], radius, value) {
    const [dx, dy] = [x1 - x0, y1 - y0];
    const length = dx * dx + dy * dy;
    this.#each(Math.min(x0, x1) - radius, Math.min(y0, y1) - radius, Math.max(x0, x1) + radius, Math.max(y0, y1) + radius, (x, y) => {
      const along = length ? Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / length)) : 0;
      return Math.hypot(x - x0 - along * dx, y - y0 - along * dy) <= radius;
    }, value);
    for (const point of [[x0, y0], [x1, y1]]) this.#set(...point.map(Math.floor), value); // however thin
  }

  /** Paint over, or uncover, the pixels of a rectangle, given two opposite corners. */
  rectangle([x0, y0], [x1, y1], value) {
    const [left, right] = [Math.floor(Math.min(x0, x1)), Math.floor(Math.max(x0, x1))];
    const [top, bottom] = [Math.floor(Math.min(y0, y1)), Math.floor(Math.max(y0, y1))];
    this.#each(left, top, right, bottom, () => true, value);
  }

  #each(left, top, right, bottom, within, value) {
    for (let y = Math.max(0, Math.floor(top)); y <= Math.min(this.height - 1, Math.floor(bottom)); y += 1) {
      for (let x = Math.max(0, Math.floor(left)); x <= Math.min(this.width - 1, Math.floor(right)); x += 1) {
        if (within(x + 0.5, y + 0.5)) this.kept[y * this.width + x] = value;
      }
    }
  }

  #set(x, y, value) {
    if (x >= 0 && y >= 0 && x < this.width && y < this.height) this.kept[y * this.width + x] = value;
  }
}
