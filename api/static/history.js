// The history slider: it fills the field beside it, and shows that moment when it is let go.
// By keyboard it moves step by step, and Enter or the button shows.

export function historyForms() {
  for (const form of document.querySelectorAll("form[data-history]")) {
    const slider = form.querySelector("input[type=range]");
    const field = form.elements.as_of;
    slider.addEventListener("input", () => {
      field.value = slider.value;
    });
    slider.addEventListener("pointerup", () => {
      if (field.value === slider.value) form.requestSubmit();
    });
    field.addEventListener("input", () => {
      if (/^\d+$/.test(field.value)) slider.value = field.value;
    });
  }
}
