// The search in the header: results while typing, arrow keys choose, Enter goes there. `/` begins it.
// Without a script the form leads to a page of results.

const PAUSE_MS = 150;
const RESULTS = 8;

export function search() {
  const form = document.querySelector("[data-search-form]");
  if (!form) return;
  const input = form.elements.text;
  const list = form.querySelector("[role=listbox]");
  Object.assign(input, { role: "combobox", ariaExpanded: "false", ariaAutoComplete: "list" });
  input.setAttribute("aria-controls", list.id);
  let timer;
  let turn = 0;

  const options = () => [...list.querySelectorAll("[role=option]")];
  const chosen = () => options().find((option) => option.ariaSelected === "true");

  function close() {
    turn += 1;
    clearTimeout(timer);
    list.hidden = true;
    list.replaceChildren();
    input.ariaExpanded = "false";
    input.removeAttribute("aria-activedescendant");
  }

  function choose(option) {
    for (const each of options()) each.ariaSelected = String(each === option);
    if (option) input.setAttribute("aria-activedescendant", option.id);
    else input.removeAttribute("aria-activedescendant");
    option?.scrollIntoView({ block: "nearest" });
  }

  async function find() {
    turn += 1;
    const mine = turn;
    const text = input.value.trim();
    if (!text) return close();
    const query = new URLSearchParams({ text, limit: RESULTS });
    const response = await fetch(`/api/v1/search?${query}`, { headers: { Accept: "application/json" } }).catch(() => undefined);
    if (mine !== turn || !response?.ok) return undefined;
    const { items } = await response.json();
    list.replaceChildren(...items.map(optionOf));
    list.hidden = !items.length;
    input.ariaExpanded = String(Boolean(items.length));
    choose(undefined);
    list.dataset.text = text;
    return undefined;
  }

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(find, PAUSE_MS);
  });
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      close();
    } else if (step && !list.hidden) {
      event.preventDefault();
      const all = options();
      const at = all.indexOf(chosen());
      choose(all.at((at < 0 && step < 0 ? -1 : at + step) % all.length));
    } else if (event.key === "Enter" && chosen()) {
      event.preventDefault();
      location.assign(chosen().dataset.page);
    }
  });
  input.addEventListener("blur", () => setTimeout(() => form.contains(document.activeElement) || close(), 0));
  list.addEventListener("mousedown", (event) => {
    event.preventDefault(); // the field keeps the focus
    const option = event.target.closest("[role=option]");
    if (option && event.button === 0) location.assign(option.dataset.page);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    // The annotator has this key for its concepts.
    if (document.querySelector("[data-annotate], dialog[open]") || event.target.closest("input, select, textarea")) return;
    event.preventDefault();
    input.focus();
    input.select();
  });
}

function optionOf(item, at) {
  const option = Object.assign(document.createElement("li"), { role: "option", id: `search-result-${at}`, ariaSelected: "false" });
  option.dataset.page = item.page;
  const name = Object.assign(document.createElement("b"), { textContent: item.name });
  const where = [item.kind, item.view, item.project].filter(Boolean).join(" · ");
  option.append(name, " ", Object.assign(document.createElement("span"), { className: "quiet", textContent: where }));
  return option;
}
