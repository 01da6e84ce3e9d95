// Tables that sort: each heading of a plain table becomes a button, and says by aria-sort how its column is sorted.
"use strict";

const UNITS = { h: 3600, min: 60, s: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

// The number that a cell begins with, times and sizes in one unit; null where there is none.
function numberOf(text) {
  const plain = text.replace(/[−–](?=\d)/g, "-").replace(/(\d),(?=\d{3})/g, "$1");
  const parts = [...plain.matchAll(/([-+]?\d+(?:\.\d+)?)\s*(h|min|s|KiB|MiB|GiB)\b/g)];
  if (parts.length > 0 && plain.trim().startsWith(parts[0][0])) {
    return parts.reduce((sum, [, value, unit]) => sum + Number(value) * UNITS[unit], 0);
  }
  const found = plain.match(/^\s*[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?/i);
  return found === null ? null : Number(found[0]);
}

// Cells without a value (empty, or a dash) stay last in both directions.
function isEmpty(text) {
  return /^[\s–-]*$/.test(text);
}

function compare(one, other, numeric) {
  return numeric ? numberOf(one) - numberOf(other) : one.localeCompare(other, "en", { numeric: true });
}

function sort(table, column, descending) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, text: row.cells[column].textContent.trim() }));
  const full = rows.filter(({ text }) => !isEmpty(text));
  const numeric = full.every(({ text }) => numberOf(text) !== null);
  full.sort((one, other) => (descending ? -1 : 1) * compare(one.text, other.text, numeric));
  body.append(...[...full, ...rows.filter(({ text }) => isEmpty(text))].map(({ row }) => row));
}

function isPlain(table) {
  const heads = table.tHead === null ? 0 : table.tHead.rows.length;
  if (heads !== 1 || table.tBodies.length !== 1 || table.tBodies[0].rows.length < 2) {
    return false;
  }
  const width = table.tHead.rows[0].cells.length;
  const rows = [table.tHead.rows[0], ...table.tBodies[0].rows];
  return rows.every((row) => row.cells.length === width && [...row.cells].every((cell) => cell.colSpan === 1 && cell.rowSpan === 1));
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (head.textContent.trim() === "") {
      return;
    }
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      sort(table, column, descending);
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    });
  });
}

[...document.querySelectorAll(".bd-article table")].filter(isPlain).forEach(makeSortable);
