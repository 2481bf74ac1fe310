// Paint over a picture, with a pointer, a finger or the keyboard.

import { colour, make, paint, redrawn, sharpen } from "./dom.js";
import { Mask } from "./mask.js";

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Painter {
  mask = null;
  tool = "brush"; // or "eraser", or "rectangle"
  radius = 3; // of brush and eraser, in pixels of the picture
  #canvas;
  #picture = make("canvas");
  #cover = make("canvas");
  #at = null; // where the brush is, in pixels of the picture
  #last = null; // where the stroke was before
  #corner = null; // of a rectangle that has only one
  #changed;
  #asked = false;

  /** `changed()` is called after each change of the mask. */
  constructor(canvas, changed) {
    [this.#canvas, this.#changed] = [canvas, changed];
    redrawn(canvas, () => this.draw());
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", () => this.#drop());
    canvas.addEventListener("pointerleave", () => { if (!this.#last) { this.#at = null; this.draw(); } });
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Show a picture's RGBA bytes, with nothing painted over but where `kept` is 0. */
  show(pixels, height, width, kept = null) {
    paint(this.#picture, pixels, height, width);
    this.mask = new Mask(height, width, kept);
    this.#drop();
    this.#tell();
  }

  undo() { if (this.mask?.undo()) this.#tell(); }

  clear() {
    this.mask?.clear();
    this.#tell();
  }

  use(tool) {
    this.tool = tool;
    this.#drop();
  }

  /** Draw in the next frame. */
  draw() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => { this.#asked = false; this.#draw(); });
  }

  #tell() {
    this.#changed();
    this.draw();
  }

  #drop() {
    this.#last = this.#corner = null;
    this.draw();
  }

  #box() {
    const { clientWidth, clientHeight } = this.#canvas;
    const scale = Math.min(clientWidth / this.mask.width, clientHeight / this.mask.height);
    const [w, h] = [scale * this.mask.width, scale * this.mask.height];
    return { left: (clientWidth - w) / 2, top: (clientHeight - h) / 2, scale, w, h };
  }

  #where(event) {
    const frame = this.#canvas.getBoundingClientRect();
    const { left, top, scale } = this.#box();
    return [(event.clientX - frame.left - left) / scale, (event.clientY - frame.top - top) / scale];
  }

  #within = ([x, y]) => [Math.max(0, Math.min(this.mask.width - 0.5, x)), Math.max(0, Math.min(this.mask.height - 0.5, y))];

  #down(event) {
    if (!this.mask || event.button) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#at = this.#last = this.#where(event);
    if (this.tool === "rectangle") this.#corner = this.#within(this.#at);
    else this.#dab(this.#at);
    this.draw();
  }

  #move(event) {
    if (!this.mask) return;
    this.#at = this.#where(event);
    if (this.#last && this.tool !== "rectangle") {
      this.mask.stroke(this.#last, this.#at, this.radius, Number(this.tool === "eraser"));
      this.#changed();
    }
    if (this.#last) this.#last = this.#at;
    this.draw();
  }

  #up(event) {
    if (!this.#last) return;
    if (this.tool === "rectangle") this.#finish(this.#within(this.#where(event)));
    this.#drop();
  }

  /** Begin a stroke. */
  #dab(point) {
    this.mask.begin();
    this.mask.stroke(point, point, this.radius, Number(this.tool === "eraser"));
    this.#tell();
  }

  /** Paint over the rectangle between its first corner and this one. */
  #finish(corner) {
    this.mask.begin();
    this.mask.rectangle(this.#corner, corner, 0);
    this.#corner = null;
    this.#tell();
  }

  #key(event) {
    if (!this.mask) return;
    const way = KEYS[event.key];
    const undoes = event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey);
    if (!way && !undoes && ![" ", "Enter", "Escape"].includes(event.key)) return;
    event.preventDefault();
    this.#at ??= [Math.floor(this.mask.width / 2) + 0.5, Math.floor(this.mask.height / 2) + 0.5];
    if (undoes) this.undo();
    else if (way) this.#go(way, event.shiftKey ? Math.max(2, this.mask.width >> 3) : 1);
    else if (event.key === "Escape") this.#drop();
    else if (this.tool !== "rectangle") this.#dab(this.#at);
    else if (this.#corner) this.#finish(this.#at);
    else this.#corner = this.#at;
    this.draw();
  }

  #go([dx, dy], far) {
    const inside = (value, most) => Math.max(0.5, Math.min(most - 0.5, value));
    const [x, y] = this.#at;
    this.#at = [inside(x + far * dx, this.mask.width), inside(y + far * dy, this.mask.height)];
    this.#changed();
  }

  /** Where the brush is, in words; nothing if it is nowhere. */
  get where() {
    if (!this.#at) return "";
    const [column, row] = this.#within(this.#at).map((value) => Math.floor(value) + 1);
    return `row ${row}, column ${column}${this.#corner ? ", opposite corner of the rectangle" : ""}`;
  }

  #draw() {
    const { context } = sharpen(this.#canvas);
    if (!this.mask) return;
    const { left, top, scale, w, h } = this.#box();
    context.imageSmoothingEnabled = false;
    context.drawImage(this.#picture, left, top, w, h);
    context.globalAlpha = 0.8;
    context.drawImage(this.#covered(), left, top, w, h);
    context.globalAlpha = 1;
    if (this.#at) this.#brush(context, ([x, y]) => [left + scale * x, top + scale * y], scale);
  }

  /** Return what is painted over, in the page's colour of accents. */
  #covered() {
    const { height, width, kept } = this.mask;
    const pixels = new Uint8Array(4 * kept.length);
    kept.forEach((value, k) => { pixels[4 * k + 3] = value ? 0 : 255; });
    const context = paint(this.#cover, pixels, height, width).getContext("2d");
    context.globalCompositeOperation = "source-in";
    context.fillStyle = colour("accent");
    context.fillRect(0, 0, width, height);
    return this.#cover;
  }

  #brush(context, place, scale) {
    const [x, y] = place(this.#at);
    for (const [grow, stroke] of [[1.5, colour("card")], [0, colour("ink")]]) {
      context.strokeStyle = stroke;
      context.lineWidth = 1.5;
      context.beginPath();
      if (this.#corner) {
        const [cx, cy] = place(this.#corner);
        context.rect(Math.min(x, cx) - grow, Math.min(y, cy) - grow, Math.abs(x - cx) + 2 * grow, Math.abs(y - cy) + 2 * grow);
      } else context.arc(x, y, (this.tool === "rectangle" ? 3 : scale * this.radius) + grow, 0, 2 * Math.PI);
      context.stroke();
    }
  }
}
