// A problem is shown at the fields it names, and the rest of it in the form's or the page's box.

export function showProblem(form, problem) {
  const placed = problem.errors.filter((error) => showAtField(form, error));
  if (placed.length < problem.errors.length || !placed.length) {
    const box = form.querySelector("[data-problem]") ?? document.getElementById("problem");
    box.textContent = problem.message;
    box.hidden = false;
    box.scrollIntoView({ block: "nearest" });
  }
  const first = form.querySelector("[aria-invalid]");
  // A list takes no focus itself.
  (first?.matches("fieldset") ? first.querySelector("input, select, button") : first)?.focus();
}

export function clearProblem(form) {
  const boxes = [...form.querySelectorAll("[data-problem], .field-error")];
  for (const box of [...boxes, document.getElementById("problem")]) {
    box.textContent = "";
    box.hidden = true;
  }
  for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
}

function showAtField(form, { field, detail }) {
  const controls = [...form.elements].filter((one) => !one.matches(":disabled"));
  const control =
    controls.find((one) => one.dataset.field === field) ?? controls.find((one) => one.name && names(one.name, field));
  const place = control && document.getElementById(`${control.id}-error`);
  if (!place) return false;
  control.setAttribute("aria-invalid", "true");
  place.textContent = detail;
  place.hidden = false;
  for (let at = control.closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
  return true;
}

// "epochs" and "options.epochs" are one field, and "labels[2]" is in "labels".
function names(name, field) {
  const plain = field.replace(/\[.*$/, "");
  return name === plain || name.endsWith(`.${plain}`);
}
