// What the theme and docutils leave unclear to a screen reader.
"use strict";

// Buttons that open a part of the sidebar show an arrow only: name them after the page that they belong to.
for (const toggle of document.querySelectorAll("summary:has(> .toctree-toggle)")) {
  const link = toggle.closest("li").querySelector("a");
  toggle.setAttribute("aria-label", `Pages below ${link.textContent.trim()}`);
}

// The bibliography calls itself a list, but its entries are no list items.
for (const list of document.querySelectorAll(".citation-list[role='list']")) {
  list.removeAttribute("role");
}
