// Searching the concepts: typing filters their buttons, Enter assigns the first one that is left.

// `chosen(id, time)` is told of the concept and of when Enter was pressed.
export function searchConcepts(input, place, chosen) {
  const buttons = [...place.querySelectorAll("[data-says]")];
  const found = () => buttons.filter((button) => !button.hidden);
  const filter = () => {
    const text = input.value.trim().toLowerCase();
    for (const button of buttons) button.hidden = !button.dataset.label.toLowerCase().includes(text);
    place.querySelector("[data-none-found]").hidden = found().length > 0;
  };
  const leave = () => {
    input.value = "";
    filter();
    input.blur();
  };
  input.addEventListener("input", filter);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leave();
    if (event.key !== "Enter") return;
    event.preventDefault();
    const [first] = found();
    if (!first) return;
    leave();
    chosen(first.dataset.says, event.timeStamp);
  });
}
