// What is wrong with the page for those who see or steer it in another way; a list of sentences.
() => {
  const wrong = [];
  const shown = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const told = (element) => element.outerHTML.slice(0, 120);

  if (!document.documentElement.lang) wrong.push("the page has no language");
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids)) if (ids.filter((one) => one === id).length > 1) wrong.push(`id ${id} is there twice`);
  for (const control of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (!control.labels.length && !control.ariaLabel) wrong.push(`no label: ${told(control)}`);
  }
  for (const control of document.querySelectorAll("a, button, progress")) {
    const name = control.ariaLabel || control.textContent.trim() || control.querySelector("img")?.alt;
    if (!name) wrong.push(`no name: ${told(control)}`);
  }
  for (const image of document.images) if (!image.hasAttribute("alt")) wrong.push(`no alt: ${told(image)}`);
  for (const element of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
    const names = `${element.getAttribute("aria-labelledby") ?? ""} ${element.getAttribute("aria-describedby") ?? ""}`;
    for (const id of names.split(/\s+/).filter(Boolean)) {
      if (!document.getElementById(id)) wrong.push(`${id} is named by ${told(element)} and not there`);
    }
  }

  const levels = [...document.querySelectorAll("h1, h2, h3, h4")]
    .filter((heading) => !heading.closest("dialog"))
    .map((heading) => Number(heading.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) wrong.push("there is not one h1");
  levels.forEach((level, at) => at && level > levels[at - 1] + 1 && wrong.push(`headings skip a level: ${levels}`));

  // https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => {
    const [lr, lg, lb] = [r, g, b].map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * lr + 0.7152 * lg + 0.0722 * lb;
  };
  const ratio = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  let measured = 0;
  for (const element of document.body.querySelectorAll("*")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!hasText || !shown(element) || element.closest("noscript, .hidden")) continue;
    const style = getComputedStyle(element);
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const found = ratio(rgba(ink), ground(element.parentElement.closest("svg")?.parentElement ?? element));
    measured += 1;
    if (found < 4.5) wrong.push(`contrast ${found.toFixed(2)}: ${told(element)}`);
  }
  for (const control of document.querySelectorAll("input, select, textarea, button:not(.link):not(.primary)")) {
    if (!shown(control)) continue;
    const found = ratio(rgba(getComputedStyle(control).borderTopColor), ground(control.parentElement));
    if (found < 3) wrong.push(`edge ${found.toFixed(2)}: ${told(control)}`);
  }
  if (measured < 10) wrong.push(`only ${measured} texts were measured`);
  if (document.documentElement.scrollWidth > innerWidth) wrong.push(`wider than ${innerWidth} px`);
  return wrong;
}
