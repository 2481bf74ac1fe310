// The websocket: JSON, and binary messages with arrays after a JSON header. It reconnects by itself.

const FIRST = 400, LONGEST = 10000;
const ARRAYS = { uint8: Uint8Array, float32: Float32Array };

/** Return the header of a binary message, with `arrays` by name: { values, shape }. */
export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  const arrays = {};
  for (const [name, kind, shape] of header.arrays) {
    const count = shape.reduce((a, b) => a * b, 1);
    const bytes = count * ARRAYS[kind].BYTES_PER_ELEMENT;
    arrays[name] = { values: new ARRAYS[kind](buffer.slice(at, at + bytes)), shape };
    at += bytes;
  }
  return { ...header, arrays };
}

/** Return a binary message of a header and bytes. */
export function pack(header, bytes) {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const message = new Uint8Array(4 + text.length + bytes.length);
  new DataView(message.buffer).setUint32(0, text.length, true);
  message.set(text, 4);
  message.set(bytes, 4 + text.length);
  return message;
}

export class Link extends EventTarget {
  #socket = null;
  #wait = FIRST;
  #timer = 0;
  #number = 0;

  /** The number of the next question; no two have the same. */
  get number() { return ++this.#number; }

  get open() { return this.#socket?.readyState === WebSocket.OPEN; }

  /** Connect, and reconnect after increasing delays while the server is gone. */
  connect() {
    clearTimeout(this.#timer);
    this.#socket?.close();
    const socket = new WebSocket(`ws://${location.host}/socket`);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => {
      this.#wait = FIRST;
      this.#tell("open");
    };
    socket.onmessage = ({ data }) => {
      const message = typeof data === "string" ? JSON.parse(data) : unpack(data);
      this.#tell(message.type, message);
    };
    socket.onclose = () => {
      if (socket !== this.#socket) return;
      const wait = this.#wait;
      this.#wait = Math.min(LONGEST, wait * 1.7);
      this.#timer = setTimeout(() => this.connect(), wait);
      this.#tell("gone", { wait });
    };
  }

  /** Send a message if the server is reachable; return whether it is. */
  send(header, bytes) {
    if (!this.open) return false;
    this.#socket.send(bytes ? pack(header, bytes) : JSON.stringify(header));
    return true;
  }

  on(type, listener) { this.addEventListener(type, ({ detail }) => listener(detail)); }

  #tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}
