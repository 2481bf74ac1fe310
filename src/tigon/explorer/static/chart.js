// A line chart on a canvas: a curve over steps or iterations.

import { colour, make, redrawn, sharpen } from "./dom.js";

const LEFT = 50, RIGHT = 8, TOP = 8, BOTTOM = 20, MOST = 4000;
const FAR = 10; // a signed axis is logarithmic beyond 1 if values reach beyond this

/** How an axis maps values to positions, and back. */
const AXES = {
  linear: { place: (value) => value, value: (place) => place },
  log: { place: (value) => (value > 0 ? Math.log10(value) : null), value: (place) => 10 ** place },
  signed: {
    place: (value) => (Math.abs(value) <= 1 ? value : Math.sign(value) * (1 + Math.log10(Math.abs(value)))),
    value: (place) => (Math.abs(place) <= 1 ? place : Math.sign(place) * 10 ** (Math.abs(place) - 1)),
  },
};

/** Return a number in few characters. */
export function short(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e5)) return value.toExponential(1);
  return String(Number(value.toPrecision(size >= 1000 ? 5 : size < 0.01 ? 2 : 3)));
}

export class Chart {
  #xs = [];
  #ys = [];
  #canvas;
  #value;
  #asked = false;

  /** Build the chart in a figure: `range` fixes the axis, `marks` are lines, `healthy` is a band. */
  constructor(figure, { title, axis = "linear", range = null, marks = [], healthy = null, steps = "step" }) {
    Object.assign(this, { title, axis, range, marks, healthy, steps });
    this.#value = make("b", { textContent: "–" });
    this.#canvas = make("canvas", { role: "img" });
    this.#canvas.setAttribute("role", "img");
    figure.replaceChildren(make("figcaption", {}, make("span", { textContent: title }), this.#value), this.#canvas);
    redrawn(this.#canvas, () => this.draw());
    this.clear();
  }

  clear() {
    [this.#xs, this.#ys] = [[], []];
    this.draw();
  }

  /** The step or iteration of the last value. */
  get last() { return this.#xs.at(-1); }

  /** Add a value; null leaves a gap. Beyond some thousand, every other one is dropped. */
  add(x, y) {
    this.#xs.push(x);
    this.#ys.push(y);
    if (this.#xs.length > MOST) {
      const last = this.#xs.length - 1;
      const kept = (_, k) => k % 2 === 0 || k === last;
      [this.#xs, this.#ys] = [this.#xs.filter(kept), this.#ys.filter(kept)];
    }
    this.draw();
  }

  draw() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => { this.#asked = false; this.#draw(); });
  }

  #limits(values) {
    if (this.range) return this.range;
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) if (value !== null) [low, high] = [Math.min(low, value), Math.max(high, value)];
    if (low > high) return [0, 1];
    const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 0.5;
    return [low - room, high + room];
  }

  #draw() {
    const { context, width, height } = sharpen(this.#canvas);
    const axis = this.#axis();
    const values = this.#ys.map((value) => (Number.isFinite(value) ? axis.place(value) : null));
    const [low, high] = this.#limits(values);
    const [first, last] = [this.#xs[0] ?? 0, Math.max(this.#xs.at(-1) ?? 1, (this.#xs[0] ?? 0) + 1)];
    const x = (value) => LEFT + (width - LEFT - RIGHT) * (value - first) / (last - first);
    const y = (value) => height - BOTTOM - (height - TOP - BOTTOM) * (value - low) / (high - low);
    this.#band(context, { width, height, axis, y });
    this.#axes(context, { width, height, low, high, first, last, axis, y });
    context.strokeStyle = colour("accent");
    context.lineWidth = 1.8;
    context.lineJoin = "round";
    context.beginPath();
    let drawing = false;
    values.forEach((value, k) => {
      if (value === null) { drawing = false; return; }
      context[drawing ? "lineTo" : "moveTo"](x(this.#xs[k]), y(value));
      drawing = true;
    });
    context.stroke();
    const final = this.#ys.length ? this.#ys.at(-1) : null;
    this.#value.textContent = short(final);
    const seen = this.#ys.length ? `${short(final)} at ${this.steps} ${last}` : "nothing yet";
    this.#canvas.setAttribute("aria-label", `${this.title}: ${seen}`);
  }

  #axis() {
    const far = this.#ys.some((value) => Math.abs(value) > FAR);
    return AXES[this.axis === "signed" && !far ? "linear" : this.axis];
  }

  /** Shade the healthy band; an end that is null is open. */
  #band(context, { width, height, axis, y }) {
    if (!this.healthy) return;
    const [bottom, top] = this.healthy.map((value) => {
      const place = value === null ? null : axis.place(value);
      return place === null ? null : y(place);
    });
    const inside = (at, open) => Math.min(height - BOTTOM, Math.max(TOP, at ?? open));
    const [from, to] = [inside(top, TOP), inside(bottom, height - BOTTOM)];
    context.globalAlpha = 0.1;
    context.fillStyle = colour("second");
    context.fillRect(LEFT, from, width - LEFT - RIGHT, to - from);
    context.globalAlpha = 1;
  }

  #axes(context, { width, height, low, high, first, last, axis, y }) {
    context.font = "11.5px system-ui, sans-serif";
    context.fillStyle = colour("muted");
    context.strokeStyle = colour("line");
    context.lineWidth = 1;
    context.textAlign = "right";
    for (const part of [0.04, 0.5, 0.96]) {
      const value = this.range ? low + (high - low) * Math.round(part * 2) / 2 : low + (high - low) * part;
      const at = Math.round(y(value)) + 0.5;
      context.beginPath();
      context.moveTo(LEFT, at);
      context.lineTo(width - RIGHT, at);
      context.stroke();
      if (this.#ys.length) context.fillText(short(axis.value(value)), LEFT - 5, at + 4);
    }
    for (const mark of this.marks) {
      context.save();
      context.setLineDash([4, 3]);
      context.strokeStyle = colour("second");
      context.beginPath();
      const at = y(axis.place(mark));
      context.moveTo(LEFT, at);
      context.lineTo(width - RIGHT, at);
      if (at > TOP && at < height - BOTTOM) context.stroke();
      context.restore();
    }
    if (!this.#ys.length) return;
    context.textAlign = "left";
    context.fillText(`${this.steps} ${first}`, LEFT, height - 4);
    context.textAlign = "right";
    context.fillText(String(last), width - RIGHT, height - 4);
  }
}
