// The latent plane: prior contours, training images, paths of chains, and the current point.

import { colour, redrawn, sharpen } from "./dom.js";

const RINGS = [[1, "39 %"], [2, "86 %"], [3, "99 %"]];
const MARGIN = 36, ROOM = 10, STEP = 0.1, FAR = 0.5;
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

export class Plane {
  reach = 3.4; // extent of both axes, from the centre
  names = ["", ""];
  points = []; // points of the training images
  thumbs = [];
  chosen = -1;
  at = [0, 0];
  kept = [0, 0];
  trails = []; // one list of points per chain
  best = -1;
  segment = null; // from the start to the end of an interpolation
  backdrop = null; // a canvas
  #canvas;
  #asked = false;

  /** `moved(point, kept, event)`, `left()` and `picked(index)` are called on user actions. */
  constructor(canvas, { moved, left, picked }) {
    this.#canvas = canvas;
    redrawn(canvas, () => this.draw());
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse" || event.buttons) moved(this.#where(event), event.buttons > 0, event);
    });
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      const index = this.#hit(event);
      if (index >= 0) picked(index);
      else moved(this.#where(event), true, event);
    });
    canvas.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse" && !event.buttons) left();
    });
    canvas.addEventListener("keydown", (event) => {
      const way = KEYS[event.key];
      if (!way && event.key !== "0") return;
      event.preventDefault();
      const far = event.shiftKey ? FAR : STEP;
      const point = way ? this.kept.map((value, k) => this.#within(value + far * way[k])) : [0, 0];
      moved(point, true, event);
    });
  }

  /** Set the points of the training images, and extend the axes beyond them. */
  place(points, names) {
    [this.points, this.names] = [points, names];
    const furthest = points.flat().reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    this.reach = Math.max(3.4, 1.08 * furthest);
  }

  /** Draw in the next frame. */
  draw() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => { this.#asked = false; this.#draw(); });
  }

  #within = (value) => Math.max(-this.reach, Math.min(this.reach, value));

  #box() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const side = Math.max(1, Math.min(width, height) - MARGIN - ROOM);
    return { left: MARGIN + (width - side - MARGIN - ROOM) / 2, top: ROOM, side };
  }

  #where(event) {
    const frame = this.#canvas.getBoundingClientRect();
    const { left, top, side } = this.#box();
    const across = (event.clientX - frame.left - left) / side;
    const down = (event.clientY - frame.top - top) / side;
    return [this.#within((2 * across - 1) * this.reach), this.#within((1 - 2 * down) * this.reach)];
  }

  #pixel([u, v]) {
    const { left, top, side } = this.#box();
    return [left + side * (1 + u / this.reach) / 2, top + side * (1 - v / this.reach) / 2];
  }

  #thumb() {
    const { side } = this.#box();
    return Math.max(12, Math.min(52, side / (3 + 1.6 * Math.sqrt(this.points.length))));
  }

  #hit(event) {
    const frame = this.#canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
    let [nearest, found] = [this.#thumb() / 2, -1];
    this.points.forEach((point, index) => {
      const [px, py] = this.#pixel(point);
      const distance = Math.max(Math.abs(px - x), Math.abs(py - y));
      if (distance <= nearest) [nearest, found] = [distance, index];
    });
    return found;
  }

  #draw() {
    const { context } = sharpen(this.#canvas);
    const box = this.#box();
    this.#ground(context, box);
    context.save();
    context.beginPath();
    context.rect(box.left, box.top, box.side, box.side);
    context.clip();
    this.#rings(context, box);
    this.#images(context);
    this.#shares(context, box);
    this.#lines(context);
    this.#point(context);
    context.restore();
  }

  #ground(context, { left, top, side }) {
    if (this.backdrop) {
      context.globalAlpha = 0.5;
      context.imageSmoothingEnabled = true;
      context.drawImage(this.backdrop, left, top, side, side);
      context.globalAlpha = 1;
    }
    context.strokeStyle = colour("line");
    context.strokeRect(left + 0.5, top + 0.5, side - 1, side - 1);
    context.fillStyle = colour("muted");
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "center";
    const most = Math.floor(this.reach);
    const every = Math.max(1, Math.ceil(most / 3));
    for (let tick = -every * Math.floor(most / every); tick <= most; tick += every) {
      const [x, y] = this.#pixel([tick, tick]);
      context.fillText(String(tick), x, top + side + 15);
      context.textAlign = "right";
      context.fillText(String(tick), left - 5, y + 4);
      context.textAlign = "center";
    }
    context.fillText(this.names[0], left + side / 2, top + side + 31);
    context.save();
    context.translate(left - 25, top + side / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(this.names[1], 0, 0);
    context.restore();
  }

  #rings(context, { side }) {
    const [x, y] = this.#pixel([0, 0]);
    for (const [radius] of RINGS) {
      const pixels = radius / this.reach * side / 2;
      context.beginPath();
      context.arc(x, y, pixels, 0, 2 * Math.PI);
      for (const [name, alpha, width] of [["card", 0.7, 3.5], ["ink", 0.75, 1.2]]) {
        Object.assign(context, { strokeStyle: colour(name), globalAlpha: alpha, lineWidth: width });
        context.stroke();
      }
      context.globalAlpha = 1;
    }
  }

  #shares(context, { side }) {
    context.textAlign = "center";
    const [x, y] = this.#pixel([0, 0]);
    for (const [radius, share] of RINGS) {
      const away = radius / this.reach * side / 2 * Math.SQRT1_2;
      this.#label(context, share, x + away, y + away);
    }
  }

  #label(context, text, x, y) {
    const width = context.measureText(text).width + 8;
    context.fillStyle = colour("card");
    context.globalAlpha = 0.85;
    context.fillRect(x - width / 2, y - 9, width, 17);
    context.globalAlpha = 1;
    context.fillStyle = colour("muted");
    context.fillText(text, x, y + 4);
  }

  #images(context) {
    const side = this.#thumb();
    this.points.forEach((point, index) => {
      const [x, y] = this.#pixel(point);
      const thumb = this.thumbs[index];
      const scale = thumb ? side / Math.max(thumb.width, thumb.height) : 1;
      const [w, h] = thumb ? [thumb.width * scale, thumb.height * scale] : [side, side];
      if (thumb) context.drawImage(thumb, x - w / 2, y - h / 2, w, h);
      context.lineWidth = index === this.chosen ? 3 : 1;
      context.strokeStyle = index === this.chosen ? colour("accent") : colour("card");
      if (!thumb) context.strokeStyle = colour("accent");
      context.strokeRect(x - w / 2, y - h / 2, w, h);
    });
  }

  #lines(context) {
    context.lineJoin = context.lineCap = "round";
    this.trails.forEach((trail, index) => {
      if (index !== this.best) this.#trail(context, trail, colour("second"), 0.3, 1.2);
    });
    if (this.trails[this.best]) this.#trail(context, this.trails[this.best], colour("accent"), 1, 2.5);
    if (!this.segment) return;
    context.setLineDash([2, 5]);
    this.#trail(context, this.segment, colour("ink"), 0.8, 1.8);
    context.setLineDash([]);
  }

  #trail(context, trail, stroke, alpha, width) {
    context.globalAlpha = alpha;
    context.strokeStyle = context.fillStyle = stroke;
    context.lineWidth = width;
    context.beginPath();
    for (const point of trail) context.lineTo(...this.#pixel(point));
    context.stroke();
    context.beginPath();
    context.arc(...this.#pixel(trail.at(-1)), width + 1.5, 0, 2 * Math.PI);
    context.fill();
    context.globalAlpha = 1;
  }

  #point(context) {
    const [kx, ky] = this.#pixel(this.kept);
    const [x, y] = this.#pixel(this.at);
    context.lineWidth = 2;
    if (kx !== x || ky !== y) this.#ring(context, kx, ky, 4, "muted");
    this.#ring(context, x, y, 7, "accent");
  }

  #ring(context, x, y, radius, name) {
    for (const [grow, stroke] of [[1.5, colour("card")], [0, colour(name)]]) {
      context.strokeStyle = stroke;
      context.beginPath();
      context.arc(x, y, radius + grow, 0, 2 * Math.PI);
      context.stroke();
    }
  }
}
