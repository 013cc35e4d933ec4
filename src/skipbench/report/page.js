"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const PAGE = 20; // samples shown at a time

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text; // never markup: replies are strangers
  return element;
}

// ---- table of cells ----
const body = at("table").tBodies[0];
const heads = [...at("table").tHead.rows[0].cells];

function filter() {
  const wanted = new FormData(at("filters"));
  const words = wanted.get("text").toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const row of body.rows) {
    const text = row.textContent.toLowerCase();
    const fits = ["task", "model", "method", "status"].every(
      (name) => !wanted.get(name) || row.dataset[name] === wanted.get(name));
    row.hidden = !(fits && words.every((word) => text.includes(word)));
    count += !row.hidden;
  }
  at("shown").value = `${count} of ${body.rows.length} cells`;
  at("nothing").hidden = count > 0;
}

function sort(column) {
  const head = heads[column];
  const down = head.getAttribute("aria-sort") === "ascending";
  heads.forEach((other) => other.setAttribute("aria-sort", "none"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const keyed = [...body.rows].map((row) => {
    const given = row.cells[column].dataset.sort;
    const key = given === undefined ? row.cells[column].textContent : given;
    return { row, key: given === undefined || key === "" ? key : Number(key) };
  });
  keyed.sort((a, b) => {
    if (a.key === "" || b.key === "") return (a.key === "") - (b.key === ""); // what has none: last
    const order = typeof a.key === "number" ? a.key - b.key : a.key < b.key ? -1 : +(a.key > b.key);
    return down ? -order : order;
  });
  body.append(...keyed.map((one) => one.row));
}

at("filters").addEventListener("input", filter);
at("filters").addEventListener("submit", (event) => event.preventDefault());
at("filters").addEventListener("reset", () => setTimeout(filter));
heads.forEach((head, column) => head.firstChild.addEventListener("click", () => sort(column)));

// ---- figures ----
document.querySelectorAll(".zoom").forEach((button) => button.addEventListener("click", () => {
  const [shown, large] = [button.querySelector("img"), at("enlarged").querySelector("img")];
  large.src = shown.src;
  large.alt = shown.alt;
  at("enlarged").showModal();
}));

// ---- samples ----
const wrong = (sample) => "error" in sample
  || sample.turns.some(({ mark }) => mark && !["correct", "unscored"].includes(mark.outcome));
const KINDS = {
  all: () => true,
  wrong,
  changed: (sample) => sample.shelf === "changed",
  collapsed: (sample) => sample.turns.some(({ mark }) => mark && mark.collapse),
};
let fitting = [];
let limit = PAGE;

function block(title, text, className) {
  const box = make("div", className);
  box.append(make("h4", "", title), typeof text === "string" ? make("p", "text", text) : text);
  return box;
}

function marked(text, from) {
  const box = make("p", "text");
  if (from === null || from === undefined) {
    box.textContent = text === "" ? "(empty)" : text;
    return box;
  }
  const letters = [...text]; // places count characters, not halves of surrogate pairs
  const rest = letters.slice(from).join("");
  const word = rest.match(/^\s*\S*/)[0];
  box.append(letters.slice(0, from).join(""));
  box.append(make("mark", "", word || "(ends here)"), rest.slice(word.length));
  return box;
}

function judged(mark) {
  const line = make("p", "outcome");
  if (!mark) {
    line.textContent = "no score";
    return line;
  }
  const kind = { correct: "right", unscored: "unscored" }[mark.outcome] || "";
  line.append(make("b", kind, mark.outcome));
  if (mark.reason) line.append(` (${mark.reason})`);
  if (mark.collapse) line.append(` · collapse: ${mark.collapse.join(", ")}`);
  if (mark.values) line.append(` · ${mark.values.join(" · ")}`);
  return line;
}

function reply(title, text, from, mark, className) {
  const box = block(title, marked(text, from), `reply ${className}`);
  box.append(judged(mark));
  return box;
}

// Each step is a column and each block a band, the first block at the bottom: attention below, FFN above.
function draw(canvas, map) {
  const bits = atob(data.texts[map.bits]);
  const style = getComputedStyle(document.documentElement);
  const steps = canvas.width / 6;
  const skipped = (place) => bits.charCodeAt(place >> 3) >> (7 - (place & 7)) & 1;
  const pen = canvas.getContext("2d");
  const total = { ffn: 0, attn: 0 };
  pen.clearRect(0, 0, canvas.width, canvas.height);
  for (let step = 0; step < steps; step++) {
    for (let layer = 0; layer < map.blocks; layer++) {
      ["attn", "ffn"].forEach((half, place) => {
        const gone = skipped((step * map.blocks + layer) * 2 + place);
        total[half] += gone;
        pen.fillStyle = style.getPropertyValue(gone ? `--${half}` : "--kept");
        pen.fillRect(step * 6, canvas.height - layer * 7 - 3 * (place + 1), 5, 3);
      });
    }
  }
  const share = (count) => `${(100 * count / (steps * map.blocks)).toFixed(1)} %`;
  return `FFN ${share(total.ffn)}, attention ${share(total.attn)}`;
}

function mapped(map) {
  const box = make("div", "map");
  if (!map.steps || !map.blocks) return box;
  const canvas = make("canvas");
  canvas.width = Math.min(map.steps, 512) * 6;
  canvas.height = map.blocks * 7;
  canvas.redraw = () => draw(canvas, map);
  const told = canvas.redraw();
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Skip map of ${map.steps} decode steps and ${map.blocks} blocks; skipped: ${told}`);
  const frame = make("div", "scroll");
  frame.tabIndex = 0;
  frame.append(canvas);
  const part = map.steps > 512 ? ` (the first 512 of ${map.steps} steps)` : "";
  box.append(make("h4", "", `Skipped${part}: ${told}`), frame);
  const key = make("small", "", "decode steps →, blocks ↑ ");
  key.append(make("span", "key ffn", "FFN skipped"), make("span", "key attn", "attention skipped"), make("span", "key", "run"));
  box.append(key);
  return box;
}

function article(sample) {
  const made = make("article");
  made.append(make("h3", "", sample.id));
  if ("error" in sample) made.append(make("p", "error", `failed: ${sample.error}`));
  for (const turn of sample.turns) {
    const text = (name) => turn[name] === undefined ? null : data.texts[turn[name]];
    const box = make("div", "turn");
    const from = turn.unseen ? null : turn.differs;
    box.append(block("Asked", text("asked") ?? "(samples.jsonl is missing)"));
    box.append(block("Reference", text("reference") ?? "none"));
    if (text("dense") !== null) box.append(reply("Dense", text("dense"), from, turn.was, "dense"));
    if (text("reply") !== null) {
      const title = text("dense") === null ? "Reply"
        : turn.differs === null ? "Method, the same text"
        : turn.unseen ? "Method, differs only in what was cut" : "Method";
      box.append(reply(title, text("reply"), from, turn.mark, "method"), mapped(turn.map));
    }
    made.append(box);
  }
  return made;
}

function more() {
  const shown = at("list").childElementCount;
  at("list").append(...fitting.slice(shown, limit).map(article));
  at("more").hidden = fitting.length <= limit;
}

function show() {
  const cell = data.cells[at("picker").elements.cell.value];
  const kind = at("picker").elements.kind.value;
  for (const [name, fits] of Object.entries(KINDS)) {
    at(`count-${name}`).textContent = cell.samples.filter(fits).length;
  }
  fitting = cell.samples.filter(KINDS[kind]);
  limit = PAGE;
  at("list").replaceChildren();
  if (!fitting.length && cell.samples.length) at("list").append(make("p", "none", `No sample here is ${kind}.`));
  else more();
  at("more").hidden = fitting.length <= limit;
  at("note").value = cell.note;
}

function fromAddress() {
  const id = location.hash.startsWith("#samples/") ? location.hash.slice(9) : "";
  if (!Object.hasOwn(data.cells, id)) return false;
  at("picker").elements.cell.value = id;
  at("picker").elements.kind.value = "all";
  show();
  at("samples").scrollIntoView();
  at("picker").elements.cell.focus({ preventScroll: true });
  return true;
}

at("picker").addEventListener("change", show);
at("picker").addEventListener("submit", (event) => event.preventDefault());
at("more").addEventListener("click", () => { limit += PAGE; more(); });
window.addEventListener("hashchange", fromAddress);
at("table").addEventListener("click", (event) => { // the address may be the same as before
  if (event.target.closest("a")) setTimeout(fromAddress);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
  document.querySelectorAll("canvas").forEach((canvas) => canvas.redraw()));

if (!fromAddress()) {
  const first = Object.keys(data.cells).find((id) => data.cells[id].samples.some(KINDS.changed));
  if (first) at("picker").elements.cell.value = first;
  show();
}
