"use strict";
// Sorting of tables: a click on a column's button sorts by data-key, missing values last; a second click reverses.
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const table = head.closest("table");
    const column = [...head.parentNode.children].indexOf(head);
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const key = (row) => row.children[column].dataset.key ?? "";
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const numbers = Number(x) - Number(y);
      return sign * (Number.isNaN(numbers) ? x.localeCompare(y) : numbers);
    };
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort(compare));
    for (const other of head.parentNode.children) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
  });
}
