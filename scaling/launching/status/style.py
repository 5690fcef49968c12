"""How the page of a status looks: light and dark as the reader's system is, narrow and wide."""

STYLE = """\
:root {
  color-scheme: light dark;
  --ink: #1b1f24; --soft: #59636e; --paper: #ffffff; --card: #f6f8fa; --line: #d8dee4;
  --bar: #0059a3; --rest: #d8e3ee; --bad: #b03a00; --fair: #8a5a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6e9ed; --soft: #a3adb8; --paper: #14171a; --card: #1e2327; --line: #363d45;
    --bar: #7cc0ff; --rest: #2b3a49; --bad: #ff9566; --fair: #f0b84b;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
}
main { max-width: 80rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 {
  font-size: clamp(1.35rem, 1.1rem + 1.4vw, 2rem); line-height: 1.2;
  margin: 0.2rem 0 0.4rem; overflow-wrap: anywhere;
}
h2 {
  font-size: 1.2rem; line-height: 1.3; margin: 2.2rem 0 0.6rem;
  padding-top: 0.8rem; border-top: 1px solid var(--line);
}
h3 { font-size: 1rem; margin: 1.2rem 0 0.3rem; overflow-wrap: anywhere; }
p { margin: 0 0 0.7rem; max-width: 50rem; overflow-wrap: anywhere; }
.soft, footer { color: var(--soft); font-size: 0.9rem; }
.bad { color: var(--bad); font-weight: 600; }
.note { border-left: 3px solid var(--fair); padding-left: 0.8rem; }
.bar {
  display: block; width: 100%; height: 0.9rem; margin: 0.3rem 0; border-radius: 3px; overflow: hidden;
  background: var(--rest); border: 1px solid var(--line);
}
.bar span { display: block; height: 100%; background: var(--bar); }
td .bar { width: 6rem; height: 0.6rem; margin: 0.1rem 0 0.2rem; }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 0.75rem;
  margin: 1rem 0 0; padding: 0;
}
.tiles div {
  border: 1px solid var(--line); border-radius: 4px;
  padding: 0.5rem 0.8rem; background: var(--card);
}
.tiles dt { color: var(--soft); font-size: 0.85rem; }
.tiles dd { margin: 0.1rem 0 0; font-weight: 600; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 4px; margin: 0.4rem 0 1rem; }
.scroll:focus-visible { outline: 2px solid var(--bar); }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td {
  padding: 0.4rem 0.7rem; text-align: left;
  vertical-align: top; border-bottom: 1px solid var(--line);
}
tbody tr:last-child > * { border-bottom: 0; }
thead th { background: var(--card); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 600; white-space: nowrap; }
.number { text-align: right; white-space: nowrap; }
.words { min-width: 10rem; }
.label { white-space: nowrap; }
.tiles + p { margin-top: 1rem; }
code, pre {
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: 0.85rem;
}
code { overflow-wrap: anywhere; }
pre {
  background: var(--card); border: 1px solid var(--line); border-radius: 4px;
  padding: 0.7rem 0.9rem; margin: 0.3rem 0 0.5rem; white-space: pre-wrap; overflow-wrap: anywhere;
}
details { margin: 0.6rem 0; }
summary { cursor: pointer; }
footer { margin-top: 2.5rem; }
@media (max-width: 48rem) {
  main { padding: 1rem 0.75rem 3rem; }
  .tiles { grid-template-columns: 1fr; gap: 0.4rem; }
  .jobs table, .jobs tbody, .jobs tr { display: block; }
  .jobs thead { display: none; }
  .jobs tbody th { display: block; padding-bottom: 0; border: 0; }
  tbody th { white-space: normal; overflow-wrap: anywhere; }
  .jobs tr { padding: 0.3rem 0; border-bottom: 1px solid var(--line); }
  .jobs td {
    display: flex; justify-content: space-between; gap: 1rem;
    border: 0; padding: 0.1rem 0.7rem; text-align: right;
  }
  .jobs td::before { content: attr(data-label); color: var(--soft); text-align: left; }
  .jobs td.label { white-space: normal; overflow-wrap: anywhere; }
  .jobs td:empty { display: none; }
}
@media print { .scroll { overflow: visible; } }
"""
