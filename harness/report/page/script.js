// SPDX-License-Identifier: GPL-2.0-only
// Filters and printing. Everything can be read without: the page only hides what is not asked for.
"use strict";
(() => {
  const form = document.getElementById("filter");
  const spots = [...document.querySelectorAll("#grid td[data-c]")];
  const output = form.querySelector("output");
  const all = (root, what) => [...root.querySelectorAll(what)];

  // What the text field is looked for in: a cell's name and all that is told of its failure.
  const told = new Map(spots.map((spot) => {
    const { c, k, m, u } = spot.dataset;
    const failure = document.getElementById(`f${c}`);
    const text = `${k}/${m}/${u} ${spot.textContent} ${failure ? failure.textContent : ""}`;
    return [c, text.toLowerCase()];
  }));

  const wanted = () => {
    const data = new FormData(form);
    const one = (name) => data.get(name) || "";
    return {
      status: data.getAll("status"), kernel: one("kernel"), machine: one("machine"),
      suite: one("suite"), text: one("text").trim().toLowerCase(),
    };
  };

  const matches = (spot, want) => {
    const { c, s, k, m, u } = spot.dataset;
    return (!want.status.length || want.status.includes(s))
      && (!want.kernel || want.kernel === k)
      && (!want.machine || want.machine === m)
      && (!want.suite || want.suite === u)
      && (!want.text || told.get(c).includes(want.text));
  };

  const column = (head, hidden) => {
    const place = head.cellIndex;
    for (const row of head.closest("table").rows) {
      if (row.cells[place]) row.cells[place].hidden = hidden;
    }
  };

  const apply = () => {
    const want = wanted();
    const shown = new Set(spots.filter((spot) => matches(spot, want)).map((s) => s.dataset.c));
    const some = shown.size < spots.length;
    for (const spot of spots) spot.classList.toggle("off", !shown.has(spot.dataset.c));
    for (const row of all(document, ".grid tbody tr")) {
      row.hidden = some && !row.querySelector("td[data-c]:not(.off)");
    }
    for (const item of all(document, "details[data-c]")) item.hidden = !shown.has(item.dataset.c);
    for (const item of all(document, "[data-cs]")) {
      item.hidden = some && !item.dataset.cs.split(" ").some((c) => shown.has(c));
    }
    for (const head of all(document, "th[data-c]")) column(head, !shown.has(head.dataset.c));
    output.textContent = some ? `${shown.size} of ${spots.length} cells` : "";
    return some;
  };

  const remember = (some) => {
    const kept = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value) kept.append(name, value);
    const hash = some || kept.size ? `#${kept}` : location.pathname + location.search;
    try {
      history.replaceState(null, "", hash);
    } catch {
      // A file in a sandbox has no history; the filter works all the same.
    }
  };

  const recall = () => {
    const hash = location.hash.slice(1);
    if (!hash.includes("=")) {
      const target = hash && document.getElementById(hash);
      for (let box = target; box; box = box.parentElement) {
        if (box.tagName === "DETAILS") box.open = true;
      }
      if (target) target.scrollIntoView();
      return;
    }
    const kept = new URLSearchParams(hash);
    for (const field of form.elements) {
      if (field.type === "checkbox") field.checked = kept.getAll(field.name).includes(field.value);
      else if (field.name) field.value = kept.get(field.name) || "";
    }
    apply();
  };

  form.hidden = false;
  form.addEventListener("input", () => remember(apply()));
  form.addEventListener("reset", () => setTimeout(() => remember(apply())));
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input[type=search]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      form.elements.text.focus();
    } else if (event.key === "Escape" && typing) {
      form.reset();
    }
  });
  window.addEventListener("hashchange", recall);
  recall();

  // On paper everything is open.
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = all(document, "details:not([open])");
    for (const box of closed) box.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const box of closed) box.open = false;
  });
})();
