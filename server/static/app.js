"use strict";
// What pages need a script for: uploads with progress, dropped pictures, and two pictures laid over each other.

const one = (selector, within = document) => within.querySelector(selector);

// Messages

function say(text) {
  one("#status").textContent = text;
}

let silence;
function alarm(text) {
  one("#alert").textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => { one("#alert").textContent = ""; }, 10000);
}

/** The sentence of an answer that is a problem, as JSON or as a page. */
function sentence(xhr) {
  try {
    const problem = JSON.parse(xhr.responseText);
    return problem.failed?.[0]?.reason || problem.detail || problem.title;
  } catch {
    const page = new DOMParser().parseFromString(xhr.responseText, "text/html");
    return one("main .lead, main p", page)?.textContent.trim() || `The server answered ${xhr.status}.`;
  }
}

document.addEventListener("htmx:responseError", (event) => alarm(sentence(event.detail.xhr)));
document.addEventListener("htmx:sendError", () => alarm("The server cannot be reached; is it still running?"));

document.addEventListener("htmx:afterSwap", ({ detail }) => {
  const far = detail.target.id === "gallery" && detail.target.getBoundingClientRect().top > 0.6 * innerHeight;
  if (far) detail.target.scrollIntoView();
});

document.addEventListener("input", ({ target }) => {
  if (target.type === "range") {
    const output = one("output", target.closest("label"));
    if (output) output.textContent = target.value + (target.dataset.unit || "");
  }
});

document.addEventListener("toggle", ({ target }) => {
  if (target.matches?.(".rename[open]")) one("input", target).focus();
}, true);

// Uploads: a few at a time, each with its own progress

const AT_ONCE = 3;
const waiting = [];
let running = 0;
let sent = 0;
let ended = 0;
const tally = { new: 0, known: 0, failed: 0 };

function upload(files) {
  if (!files.length) return;
  if (!running && !waiting.length) {
    sent = ended = 0;
    Object.assign(tally, { new: 0, known: 0, failed: 0 });
    one("#files").replaceChildren();
  }
  for (const file of files) {
    const row = document.createElement("li");
    const name = document.createElement("span");
    const outcome = document.createElement("span");
    const bar = document.createElement("progress");
    name.textContent = name.title = file.name;
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute("aria-label", `Upload of ${file.name}`);
    outcome.append(bar);
    row.append(name, outcome);
    one("#files").append(row);
    waiting.push({ file, row, outcome, bar });
  }
  sent += files.length;
  one("#uploads").hidden = false;
  one("#dismiss").hidden = true;
  while (running < AT_ONCE && waiting.length) next();
  count();
}

function next() {
  const item = waiting.shift();
  if (!item) return;
  running += 1;
  send(item);
}

function send(item) {
  const xhr = new XMLHttpRequest();
  const body = new FormData();
  body.append("file", item.file);
  xhr.open("POST", "/api/v1/images");
  xhr.setRequestHeader("Accept", "application/json");
  xhr.upload.onprogress = ({ loaded, total }) => { item.bar.value = total ? loaded / total : 0; };
  xhr.upload.onload = () => item.bar.removeAttribute("value"); // sent; now the server reads it
  xhr.onerror = () => end(item, "failed", "the server cannot be reached");
  xhr.onload = () => {
    const later = Number(xhr.getResponseHeader("Retry-After"));
    if ((xhr.status === 503 || xhr.status === 429) && later && (item.tries = (item.tries || 0) + 1) < 20) {
      setTimeout(() => send(item), 1000 * later);
    } else if (xhr.status >= 400) {
      end(item, "failed", `not added: ${sentence(xhr)}`);
    } else {
      received(item, JSON.parse(xhr.responseText));
    }
  };
  xhr.send(body);
}

function received(item, answer) {
  const [image] = answer.images;
  if (!image) {
    end(item, "failed", `not added: ${answer.failed[0].reason}`);
    return;
  }
  const link = document.createElement("a");
  link.href = `/images/${image.id}`;
  link.textContent = image.new ? "new" : "already there";
  end(item, image.new ? "new" : "known", link, ...copies(image.copies, image.new));
}

/** The copies of a picture, in words: the closest one, and how many more. */
function copies({ exact, near }, isNew) {
  const told = [];
  if (isNew && exact.length) told.push(`, the same bytes as ${exact[0].split("/").pop()}`);
  if (near.length) {
    const [closest] = [...near].sort((a, b) => b.score - a.score);
    const link = document.createElement("a");
    link.href = `/images/${closest.id}`;
    link.textContent = `image ${closest.id}`;
    told.push(", a copy of ", link, near.length > 1 ? ` and ${near.length - 1} more` : "");
  }
  return told;
}

function end(item, what, ...told) {
  tally[what] += 1;
  ended += 1;
  running -= 1;
  item.outcome.className = what;
  item.outcome.replaceChildren(...told);
  if (what === "failed") one("#files").prepend(item.row); // first, so that a person sees it
  next();
  count();
}

function count() {
  one("#all").max = sent;
  one("#all").value = ended;
  const parts = [`${tally.new} new`, `${tally.known} already there`, `${tally.failed} not added`];
  const told = parts.filter((part) => !part.startsWith("0 ")).join(", ");
  one("#uploading").textContent = ended < sent ? `Uploading, ${ended} of ${sent}` : `Done: ${told}`;
  if (ended === sent) {
    one("#dismiss").hidden = false;
    say(`Upload finished: ${told}.`);
    document.body.dispatchEvent(new CustomEvent("imgindex:changed"));
  }
}

/** All files of what was dropped, those in folders included. */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const found = [];
  const walk = async (entry) => {
    if (entry.isFile) {
      if (!entry.name.startsWith(".")) found.push(await new Promise((done, fail) => entry.file(done, fail)));
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((done, fail) => reader.readEntries(done, fail));
      if (!some.length) return;
      for (const inner of some) await walk(inner);
    }
  };
  for (const entry of entries) await walk(entry).catch(() => alarm(`${entry.name} cannot be read.`));
  return found;
}

// Dropping, pasting and choosing

function seek(file) {
  const input = one("#search input[type=file]");
  const chosen = new DataTransfer();
  chosen.items.add(file);
  input.files = chosen.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

function preview() {
  const [file] = one("#search input[type=file]").files;
  const query = one("#query");
  if (query.src) URL.revokeObjectURL(query.src);
  query.hidden = !file;
  if (file) query.src = URL.createObjectURL(file);
}

function library() {
  const adding = one("#upload");
  const search = one("#search");
  if (adding) {
    one("input[type=file]", adding).addEventListener("change", ({ target }) => {
      upload([...target.files]);
      target.value = "";
    });
  }
  one("input[type=file]", search).addEventListener("change", preview);
  one("#query").addEventListener("error", ({ target }) => { target.hidden = true; }); // of a kind that browsers do not show
  one("#dismiss").addEventListener("click", () => { one("#uploads").hidden = true; });
  document.addEventListener("paste", ({ clipboardData }) => {
    const file = [...clipboardData.files].find((pasted) => pasted.type.startsWith("image/"));
    if (file) seek(file);
  });
  let depth = 0; // dragenter and dragleave come for each element on the way
  const forms = [adding, search].filter(Boolean); // who may only read cannot add
  const near = (on) => forms.forEach((form) => form.classList.toggle("near", on));
  document.addEventListener("dragenter", () => { depth += 1; near(true); });
  document.addEventListener("dragleave", () => { depth -= 1; if (!depth) near(false); });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    for (const form of forms) form.classList.toggle("over", form.contains(event.target));
  });
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    depth = 0;
    near(false);
    for (const form of forms) form.classList.remove("over");
    const shown = /\/images\/(\d+)(?:\/|$)/.exec(event.dataTransfer.getData("text/uri-list"));
    if (search.contains(event.target)) {
      if (shown) location.assign(`/similar/${shown[1]}`);
      else if (event.dataTransfer.files.length) seek(event.dataTransfer.files[0]);
    } else if (adding?.contains(event.target) && !shown) {
      upload(await dropped(event.dataTransfer));
    }
  });
}

// Two pictures laid over each other

const times = (a, b) => a.map((row) => b[0].map((_, column) => row.reduce((sum, value, at) => sum + value * b[at][column], 0)));

/** Puts both pictures on the stage: `transform` takes unit coordinates of the one above to those of the one below. */
function lay(stage) {
  const flat = JSON.parse(stage.dataset.transform);
  const transform = [flat.slice(0, 3), flat.slice(3, 6), flat.slice(6, 9)];
  const [wide, high] = [Number(stage.dataset.width), Number(stage.dataset.height)];
  let corners = [[0, 0], [1, 0], [0, 1], [1, 1]].map(([x, y]) => times(transform, [[x], [y], [1]]).flat());
  corners = corners.every(([, , w]) => w > 0.05) ? corners.map(([x, y, w]) => [x / w, y / w]) : [];
  const ends = (at) => {
    const values = [0, 1, ...corners.map((corner) => Math.max(-1, Math.min(2, corner[at])))];
    return [Math.min(...values), Math.max(...values)];
  };
  const [[left, right], [top, bottom]] = [ends(0), ends(1)];
  const scale = Math.min(stage.clientWidth / ((right - left) * wide), stage.clientHeight / ((bottom - top) * high));
  const [w, h] = [scale * wide, scale * high];
  const x = (stage.clientWidth - (left + right) * w) / 2;
  const y = (stage.clientHeight - (top + bottom) * h) / 2;
  const view = [[w, 0, x], [0, h, y], [0, 0, 1]];
  const unit = [[1 / w, 0, 0], [0, 1 / h, 0], [0, 0, 1]];
  place(one(".below", stage), w, h, times(view, unit));
  place(one(".above", stage), w, h, times(times(view, transform), unit));
  stage.classList.add("ready");
}

function place(picture, width, height, [a, b, c]) {
  picture.style.width = `${width}px`;
  picture.style.height = `${height}px`;
  const columns = [a[0], b[0], 0, c[0], a[1], b[1], 0, c[1], 0, 0, 1, 0, a[2], b[2], 0, c[2]];
  picture.style.transform = `matrix3d(${columns.map((number) => number.toFixed(9)).join(",")})`;
}

function compare(stage) {
  const slider = one(".opacity");
  const differs = one(".difference");
  const show = () => {
    one(".above", stage).style.opacity = differs.checked ? 1 : slider.value / 100;
    slider.disabled = differs.checked;
    stage.classList.toggle("differs", differs.checked);
  };
  slider.addEventListener("input", show);
  differs.addEventListener("change", show);
  new ResizeObserver(() => lay(stage)).observe(stage);
  show();
}

if (one("#search")) library();
if (one(".stage")) compare(one(".stage"));
