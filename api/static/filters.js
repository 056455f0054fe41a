// Filter forms are plain GET forms; this keeps empty ones out of the address and saves a click.

export function filterForms() {
  for (const form of document.querySelectorAll("form[data-filters]")) {
    form.addEventListener("formdata", ({ formData }) => {
      for (const [name, value] of [...formData]) if (value === "") formData.delete(name);
    });
    if ("auto" in form.dataset) form.addEventListener("change", () => form.requestSubmit());
  }
}
