// The training form shows as placeholders the defaults that its architecture and optimizer bring.

const form = document.querySelector("form[data-defaults]");
const defaults = JSON.parse(form.dataset.defaults);
const control = (name) => form.elements.namedItem(`options.${name}`);

function show() {
  const ofArchitecture = defaults[control("architecture").value];
  const chosen = ofArchitecture[control("optimizer").value];
  for (const [name, value] of Object.entries(chosen)) {
    const input = control(name);
    if (input instanceof HTMLInputElement) input.placeholder = String(value);
  }
  const [own, ...others] = control("optimizer").options;
  const named = others.find((option) => option.value === ofArchitecture[""].optimizer);
  own.textContent = `default (${named.textContent})`;
}

control("architecture").addEventListener("change", show);
control("optimizer").addEventListener("change", show);
show();
