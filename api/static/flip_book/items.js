// The chosen items, a page at a time: as pictures, or as a table.
import { number } from "../numbers.js";
import * as messages from "./messages.js";
import { digits, element, percent, predictionOf, shot, truthOf } from "./words.js";

const A_PAGE = 24;

export class Items {
  // `on` has open(item), address(values) and page(number).
  constructor(place, recording, on) {
    this.recording = recording;
    this.on = on;
    this.one = (name) => place.querySelector(`[data-${name}]`);
    place.addEventListener("click", (event) => {
      const { page } = event.target.closest("button")?.dataset ?? {};
      if (page) return on.page(this.page + Number(page));
      const link = event.target.closest("a[data-item]");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return undefined;
      event.preventDefault();
      return on.open(recording.places.get(link.dataset.item));
    });
  }

  // `page` counts from 1; beyond the last one it is that.
  show(items, arrays, { page, isTable }) {
    const pages = Math.max(Math.ceil(items.length / A_PAGE), 1);
    this.page = Math.min(Math.max(page, 1), pages);
    const start = (this.page - 1) * A_PAGE;
    const shown = items.slice(start, start + A_PAGE);
    const [shots, table] = [this.one("shots"), this.one("table")];
    shots.hidden = isTable || !shown.length;
    table.hidden = !isTable || !shown.length;
    this.one("none").hidden = shown.length > 0;
    this.one("count").textContent = number(items.length);
    this.#keepFocus(() => {
      shots.replaceChildren(...(isTable ? [] : shown.map((item) => this.#shot(item, arrays))));
      this.one("rows").replaceChildren(...(isTable ? shown.map((item) => this.#row(item, arrays)) : []));
    });
    this.one("pages").hidden = pages === 1;
    this.one("range").textContent = messages.range(start + 1, start + shown.length, items.length);
    for (const button of this.one("pages").querySelectorAll("button")) {
      const there = this.page + Number(button.dataset.page);
      button.disabled = there < 1 || there > pages;
    }
  }

  // A list that is made again keeps the focus on its item.
  #keepFocus(make) {
    const { item } = document.activeElement?.closest("[data-shots], [data-rows]") ? document.activeElement.dataset : {};
    make();
    if (item) document.querySelector(`a[data-item="${CSS.escape(item)}"]`)?.focus();
  }

  #link(item, ...children) {
    const key = this.recording.keys[item];
    const link = element("a", { href: this.on.address({ item: key }) }, ...children);
    link.dataset.item = key;
    return link;
  }

  #shot(item, arrays) {
    const { recording } = this;
    const [truth, predicted] = [truthOf(recording, item), predictionOf(recording, item, arrays)];
    const outcome = arrays.outcome?.[item] ?? (arrays.correct[item] ? messages.CORRECT : messages.MISCLASSIFIED);
    const isCorrect = Boolean(arrays.correct[item]);
    return element(
      "li",
      {},
      this.#link(item, shot(recording, item, messages.picture(messages.SPLITS[recording.splits[item]], truth))),
      element("p", {}, element("span", { className: `outcome${isCorrect ? " correct" : ""}`, textContent: outcome }), " ", unit(percent(arrays.confidence[item]))),
      element("p", {}, element("span", { className: "quiet", textContent: messages.TRUE }), ` ${truth}`),
      element("p", {}, element("span", { className: "quiet", textContent: messages.PREDICTED }), ` ${predicted}`),
    );
  }

  #row(item, arrays) {
    const { recording } = this;
    const { COLUMNS } = messages;
    const head = element("th", { scope: "row" }, this.#link(item, recording.keys[item].slice(0, 13)));
    const cells = [
      [COLUMNS.split, messages.SPLITS[recording.splits[item]]],
      [COLUMNS.truth, truthOf(recording, item)],
      [COLUMNS.predicted, predictionOf(recording, item, arrays)],
      ...["probability", "confidence", "variability", "correctness", "aum"].map((name) => [COLUMNS[name], digits(arrays[name][item]), "num"]),
      [COLUMNS.forgotten, arrays.forgotten[item], "num"],
      [COLUMNS.region, messages.REGIONS[arrays.region[item]]],
      ...(arrays.outcome ? [[COLUMNS.outcome, arrays.outcome[item]]] : []),
    ];
    return element("tr", {}, head, ...cells.map(([label, text, className = ""]) => {
      const cell = element("td", { textContent: text, className });
      cell.dataset.label = label;
      return cell;
    }));
  }
}

function unit(text) {
  return element("span", { className: "unit", textContent: text });
}
