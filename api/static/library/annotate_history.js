// What was changed on this page, on all images: to take back and to make again.

export class Changes {
  #past = [];
  #future = [];

  add(change) {
    this.#past.push(change);
    this.#future = [];
  }

  // The last change that was not taken back.
  get last() {
    return this.#past.at(-1);
  }

  // The change to take back, and what the image had before it; nothing if there is none.
  undo() {
    return this.#move(this.#past, this.#future, "from");
  }

  redo() {
    return this.#move(this.#future, this.#past, "to");
  }

  #move(one, other, side) {
    const change = one.pop();
    if (!change) return undefined;
    other.push(change);
    return { work: change.work, said: change[side] };
  }
}
