// What is done on a page before its scripts have run waits for them, in order. It is loaded first, alone.
{
  const waiting = [];

  const hold = (event) => {
    const { type, submitter } = event;
    // Of a click, the button that it is for: what is drawn in one cannot be clicked by a script.
    const target = type === "click" ? event.target.closest("button[type=button], [data-opens]") : event.target;
    if (!target) return;
    event.stopImmediatePropagation();
    if (event.cancelable) event.preventDefault();
    // The last submission of a form, or click on a button, is the one that counts.
    const before = waiting.findIndex((one) => one.type === type && one.target === target);
    if (before >= 0) waiting.splice(before, 1);
    waiting.push({ target, type, submitter });
  };

  const types = ["click", "input", "change", "submit"];
  for (const type of types) addEventListener(type, hold, true);

  // Modules have run by then.
  document.addEventListener("DOMContentLoaded", () => {
    for (const type of types) removeEventListener(type, hold, true);
    for (const { target, type, submitter } of waiting) {
      if (type === "submit") target.requestSubmit(submitter);
      else if (type === "click") target.click();
      else target.dispatchEvent(new Event(type, { bubbles: true }));
    }
  });
}
