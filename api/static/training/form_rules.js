// The rules of domain/form_controls.py: which control counts, and which default it has.

// Stands for every value of a key, but not for none.
const ANY = "*";

export function fits(when, chosen) {
  return Object.entries(when).every(([key, values]) => {
    const value = chosen[key] ?? null;
    return values.includes(value) || (value !== null && values.includes(ANY));
  });
}

// What stands for every control in turn: whether it is shown, its default, and its value. The options
// of a `preset` come before the defaults.
export function resolve(controls, given, preset = {}) {
  const chosen = {};
  return controls.map((control) => {
    const shown = fits(control.shown_when, chosen);
    const standard = shown ? (preset[control.key] ?? defaultOf(control, chosen)) : null;
    const value = shown ? (given[control.key] ?? standard) : null;
    chosen[control.key] = value;
    return { control, shown, standard, value };
  });
}

function defaultOf(control, chosen) {
  return control.defaults.find((one) => fits(one.when, chosen))?.value ?? null;
}
