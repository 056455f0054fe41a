// Choosing the other version leads to its page.
import { forgive } from "./shots.js";

document.addEventListener("error", forgive, true);
const form = document.querySelector("[data-compare-form]");
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  location.assign(form.dataset.base + form.querySelector("select").value);
});
