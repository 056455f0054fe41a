// Discs, stamped into the pixels of a canvas.
export class Stamp {
  constructor(context, radius) {
    const { width, height } = context.canvas;
    this.context = context;
    this.image = context.createImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.width = width;
    const reach = Math.ceil(radius);
    const [offsets, shares] = [[], []];
    for (let y = -reach; y <= reach; y += 1) {
      for (let x = -reach; x <= reach; x += 1) {
        const share = Math.min(Math.max(radius + 0.5 - Math.hypot(x, y), 0), 1);
        if (share === 0) continue;
        offsets.push(y * width + x);
        shares.push(share);
      }
    }
    this.offsets = Int32Array.from(offsets);
    this.shares = Float32Array.from(shares);
  }

  clear() {
    this.pixels.fill(0);
  }

  // The pixel that is the less transparent stays at the edge of a disc upon another.
  put(x, y, colour) {
    const { offsets, shares, pixels } = this;
    const middle = Math.round(y) * this.width + Math.round(x);
    const opaque = colour >>> 24;
    for (let at = 0; at < offsets.length; at += 1) {
      const place = middle + offsets[at];
      const alpha = (opaque * shares[at]) | 0;
      if (pixels[place] >>> 24 <= alpha) pixels[place] = (colour & 0xffffff) | (alpha << 24);
    }
  }

  show() {
    this.context.putImageData(this.image, 0, 0);
  }
}

// A CSS colour as a pixel of an ImageData, whose bytes are red, green, blue and alpha.
export function packed(colour, alpha) {
  const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  const { data } = context.getImageData(0, 0, 1, 1);
  data[3] = Math.round(255 * alpha);
  return new Uint32Array(data.buffer)[0];
}
