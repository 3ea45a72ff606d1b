"use strict";

const SIZE = 32;
const CHANNELS = 3;

/* The network in WebAssembly: pixels, logits and arena lie one behind another, behind the constants of the module. */
class Network {
  static async load(bytes, arena, labels) {
    const { instance } = await WebAssembly.instantiate(bytes);
    return new Network(instance.exports, arena, labels);
  }

  constructor(exports, arena, labels) {
    this.exports = exports;
    this.labels = labels;
    const inputs = SIZE * SIZE * CHANNELS;
    const first = Math.ceil(exports.__heap_base.value / 16) * 16;
    this.places = [first, first + inputs, first + inputs + Math.ceil(labels.length / 4) * 16];
    const missing = this.places[2] + arena - exports.memory.buffer.byteLength;
    if (missing > 0) exports.memory.grow(Math.ceil(missing / 65536));
    this.pixels = new Uint8Array(exports.memory.buffer, this.places[0], inputs);
    this.results = new Float32Array(exports.memory.buffer, this.places[1], labels.length);
  }

  /* Logits of 32 x 32 x 3 pixels from 0 to 255. */
  logits(pixels) {
    this.pixels.set(pixels);
    this.exports.network_run_uint8(...this.places);
    return Array.from(this.results);
  }

  /* Milliseconds of one image: the mean of as many as fit into 50. A browser's clock may be coarse. */
  milliseconds() {
    let count = 0;
    const start = performance.now();
    do {
      this.exports.network_run_uint8(...this.places);
      count += 1;
    } while (performance.now() - start < 50);
    return (performance.now() - start) / count;
  }
}

function probabilities(logits) {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

/* Draws the middle square of an image in 32 x 32 pixels, on white, and gives them without opacity. */
function draw(image, canvas) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const width = image.naturalWidth ?? image.width;
  const height = image.naturalHeight ?? image.height;
  const side = Math.min(width, height);
  context.fillStyle = "white";
  context.fillRect(0, 0, SIZE, SIZE);
  context.imageSmoothingQuality = "high";
  context.drawImage(image, (width - side) / 2, (height - side) / 2, side, side, 0, 0, SIZE, SIZE);
  return context.getImageData(0, 0, SIZE, SIZE).data.filter((_, place) => place % 4 < CHANNELS);
}

class Page {
  constructor(network) {
    this.network = network;
    this.canvas = document.getElementById("seen");
    this.said = document.getElementById("said");
    this.buttons = [...document.querySelectorAll("#samples button")];
    this.rows = network.labels.map((label) => this.row(label));
    for (const button of this.buttons) button.addEventListener("click", () => this.choose(button));
    document.getElementById("file").addEventListener("change", (event) => this.open(event.target.files[0]));
  }

  row(label) {
    const row = document.getElementById("classes").insertRow();
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = label;
    row.append(name);
    const [share, bar, logit] = [row.insertCell(), row.insertCell(), row.insertCell()];
    bar.className = "bar";
    bar.ariaHidden = "true";
    return { row, share, bar: bar.appendChild(document.createElement("div")), logit };
  }

  async choose(button) {
    const image = button.querySelector("img");
    await image.decode();
    this.show(image, button);
  }

  async open(file) {
    if (!file) return;
    try {
      const image = await createImageBitmap(file);
      this.show(image, null);
      image.close();
    } catch {
      this.said.textContent = `${file.name} is no image that this browser can read.`;
    }
  }

  show(image, pressed) {
    for (const button of this.buttons) button.setAttribute("aria-pressed", String(button === pressed));
    const logits = this.network.logits(draw(image, this.canvas));
    const shares = probabilities(logits);
    const best = shares.indexOf(Math.max(...shares));
    shares.forEach((share, place) => {
      const { row, share: cell, bar, logit } = this.rows[place];
      row.className = place === best ? "best" : "";
      cell.textContent = `${(100 * share).toFixed(1)} %`;
      bar.style.width = `${100 * share}%`;
      logit.textContent = logits[place].toFixed(3);
    });
    const time = this.network.milliseconds().toFixed(2);
    this.said.textContent = `${this.network.labels[best]}, ${(100 * shares[best]).toFixed(0)} %. One image takes ${time} ms here.`;
  }
}

async function start() {
  const text = document.getElementById("module").textContent;
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const labels = [...document.querySelectorAll("#labels li")].map((item) => item.textContent);
  const arena = Number(document.querySelector("meta[name=network]").dataset.arena);
  const page = new Page(await Network.load(bytes, arena, labels));
  await page.choose(page.buttons[0]);
  return page;
}

/* For whoever drives the page: resolves to what it computes with. */
const ready = start().catch((error) => {
  document.getElementById("said").textContent = `This browser cannot run the network: ${error.message}`;
  throw error;
});
