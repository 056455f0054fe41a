// The history slider: it fills the field beside it, shows when that was, and shows the moment when it is
// let go. By keyboard it moves step by step, and Enter or the button shows.
import * as messages from "./messages.js";

const PAUSE_MS = 250;

export function historyForms() {
  for (const form of document.querySelectorAll("form[data-history]")) {
    const slider = form.querySelector("input[type=range]");
    const field = form.elements.as_of;
    const when = form.querySelector("[data-when]");
    let timer;
    slider.addEventListener("input", () => {
      field.value = slider.value;
      when.textContent = "";
      clearTimeout(timer);
      timer = setTimeout(async () => {
        const at = slider.value;
        const text = await timeOf(at);
        if (slider.value === at) when.textContent = text;
      }, PAUSE_MS);
    });
    slider.addEventListener("pointerup", () => {
      if (field.value === slider.value) form.requestSubmit();
    });
    field.addEventListener("input", () => {
      if (/^\d+$/.test(field.value)) slider.value = field.value;
    });
  }
}

// When a position was recorded, as the page of that moment says it.
async function timeOf(position) {
  const url = new URL(location.href);
  url.searchParams.set("as_of", position);
  const response = await fetch(url, { headers: { Accept: "text/html" } }).catch(() => undefined);
  if (!response?.ok || response.redirected) return "";
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return page.querySelector("[data-past] time")?.textContent ?? messages.BEFORE_ALL;
}
