// Helpers for the page's elements.

export const find = (id) => document.getElementById(id);

export function make(name, values = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(values)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Paint the RGBA bytes of a picture on a canvas, pixel by pixel; return the canvas. */
export function paint(canvas, pixels, height, width) {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const bytes = new Uint8ClampedArray(pixels.buffer, pixels.byteOffset, height * width * 4);
  canvas.getContext("2d").putImageData(new ImageData(bytes, width, height), 0, 0);
  return canvas;
}

/** Return one canvas for each picture of an array of shape [count, height, width, 4]. */
export function canvases({ values, shape }) {
  const [count, height, width] = shape;
  const size = height * width * 4;
  return Array.from({ length: count }, (_, k) =>
    paint(make("canvas"), values.subarray(k * size, (k + 1) * size), height, width));
}

/** Return the RGBA bytes of a picture's bytes, which have one or three for each of `count` pixels. */
export function opaque(pixels, count) {
  const channels = pixels.length / count;
  return new Uint8Array(count * 4).map((_, k) =>
    (k % 4 === 3 ? 255 : pixels[(k >> 2) * channels + Math.min(k % 4, channels - 1)]));
}

/** Show an array of pictures on one canvas, in rows of about as many as columns; return how many. */
export function tile(canvas, pixels) {
  const made = canvases(pixels);
  const [count, height, width] = pixels.shape;
  const columns = Math.ceil(Math.sqrt(count));
  const gap = Math.max(1, width >> 5);
  const [across, down] = [width + gap, height + gap];
  [canvas.width, canvas.height] = [columns * across - gap, Math.ceil(count / columns) * down - gap];
  made.forEach((one, k) =>
    canvas.getContext("2d").drawImage(one, (k % columns) * across, Math.floor(k / columns) * down));
  return columns;
}

/** Save what a canvas shows as a PNG. */
export function save(canvas, name) {
  canvas.toBlob((blob) => {
    const address = URL.createObjectURL(blob);
    make("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }, "image/png");
}

/** Return a colour of the style sheet, by the name of its variable. */
export const colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const redraws = new Set();

/** Call `draw` again whenever the size of `canvas` or the colours change. */
export function redrawn(canvas, draw) {
  redraws.add(draw);
  new ResizeObserver(draw).observe(canvas);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const draw of redraws) draw();
});

/** Match a canvas to the pixels of the screen; return its context and its size. */
export function sharpen(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** Return a whole number from a field, within its limits. */
export function whole(field) {
  const value = Math.round(Number(field.value)) || 0;
  const most = field.max === "" ? Number.MAX_SAFE_INTEGER : Number(field.max);
  field.value = Math.min(most, Math.max(Number(field.min), value));
  return Number(field.value);
}

let clearing = 0;

/** Show an error message for a while. */
export function notice(text) {
  const line = find("notice");
  line.textContent = text;
  line.hidden = !text;
  clearTimeout(clearing);
  clearing = setTimeout(() => { line.hidden = true; }, 12000);
}
