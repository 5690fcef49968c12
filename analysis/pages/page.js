"use strict";

// The theme: as the system has it, light, or dark. It is remembered where the browser lets a page from disk do so.
{
  const button = document.getElementById("theme");
  const themes = ["auto", "light", "dark"];
  const key = "scaling-report-theme";
  const recall = () => { try { return localStorage.getItem(key); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem(key, theme); } catch { return; } };
  const show = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  show(themes.includes(recall()) ? recall() : "auto");
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length];
    show(next);
    remember(next);
  });
}

// Sorting: a click on a heading sorts by it, numbers as numbers, missing ones last; a second click reverses.
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const column = [...head.parentNode.children].indexOf(head);
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const body = head.closest("table").tBodies[0];
    const rows = [...body.rows].map((row) => {
      const cell = row.children[column];
      const key = cell.dataset.key ?? cell.textContent.trim();
      return { row, key: key === "\u2013" ? "" : key };
    });
    const numeric = rows.every(({ key }) => key === "" || !Number.isNaN(Number(key)));
    rows.sort((a, b) => {
      if (a.key === "" || b.key === "") return (a.key === "") - (b.key === "");
      return sign * (numeric ? Number(a.key) - Number(b.key) : a.key.localeCompare(b.key, "en", { numeric: true }));
    });
    body.append(...rows.map(({ row }) => row));
    for (const other of head.parentNode.children) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
  });
}

// Values on points: the spot nearest to the pointer, or the one with the focus, tells its title in a box beside it.
// Arrow keys go from spot to spot, so that a figure is one stop of the tabulator; Escape closes the box.
{
  const tip = document.getElementById("tip");
  let told = null;
  const hide = () => {
    told?.classList.remove("told");
    told = null;
    tip.hidden = true;
  };
  const place = (spot) => {
    const at = spot.getBoundingClientRect();
    const box = tip.getBoundingClientRect();
    const left = Math.min(at.right + 4, document.documentElement.clientWidth - box.width - 8);
    const above = at.top - box.height - 4;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above >= 8 ? above : at.bottom + 4}px`;
  };
  const tell = (spot) => {
    if (spot === told) return;
    hide();
    told = spot;
    spot.classList.add("told");
    tip.textContent = spot.getAttribute("aria-label");
    tip.hidden = false;
    place(spot);
  };
  for (const group of document.querySelectorAll(".spots")) {
    const svg = group.closest("svg");
    const spots = [...group.children];
    const places = spots.map((spot) => [Number(spot.getAttribute("cx")), Number(spot.getAttribute("cy"))]);
    spots.forEach((spot, rank) => {
      const title = spot.querySelector("title"); // shown by the browser where no script runs, and by the box here
      spot.setAttribute("aria-label", title.textContent);
      spot.setAttribute("role", "img");
      spot.setAttribute("tabindex", rank ? "-1" : "0");
      title.remove();
      spot.addEventListener("focus", () => tell(spot));
      spot.addEventListener("blur", hide);
      spot.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (event.key === "Escape") hide();
        if (!step) return;
        event.preventDefault();
        spots[(rank + step + spots.length) % spots.length].focus();
      });
    });
    const point = (event) => {
      const box = svg.getBoundingClientRect();
      const scale = svg.viewBox.baseVal.width / box.width;
      const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
      const distances = places.map(([cx, cy]) => Math.hypot(cx - x, cy - y));
      const nearest = distances.indexOf(Math.min(...distances));
      if (distances[nearest] <= (event.pointerType === "touch" ? 24 : 12) * scale) tell(spots[nearest]);
      else hide();
    };
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    svg.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") hide(); });
  }
  const follow = () => { if (told && told === document.activeElement) place(told); else hide(); };
  addEventListener("scroll", follow, { capture: true, passive: true });
}
