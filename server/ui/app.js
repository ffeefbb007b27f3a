// From pictures dropped, pasted or chosen to their translations, one after the other.

import * as comparison from "./compare.js";
import { Picture, json } from "./picture.js";
import { zip } from "./zip.js";

const $ = (id) => document.getElementById(id);
const body = document.body, model = $("model"), amount = $("amount"), seed = $("seed"), status = $("status"), error = $("error"), progress = $("progress");
const STATES = { waiting: "waiting", working: "being worked on", done: "done", failed: "failed" };

let models = [];
let pictures = [];
let current = null;   // the one that is looked at
let running = false;  // whether the queue is being worked off
let saving = null;    // the AbortController of a download that is being made
let note = "";        // what is said on the whole, not on one picture
let failure = "";

/** Translates what waits, the one that is looked at first. One at a time: the others who use this server wait less. */
async function run() {
  if (running) return;
  running = true;
  const next = () => [current, ...pictures].find((each) => each?.state === "waiting");
  for (let picture = next(); picture; picture = next()) await picture.translate(model.value, untouching());
  running = false;
}

function take(files, refused = "") {
  const added = models.length ? [...files].map((file) => new Picture(file, changed)) : []; // else the page says what is wrong
  pictures.push(...added);
  $("list").append(...added.map(entry));
  if (added.length) look(added[0]);
  failure ||= refused;
  render();
  run();
}

/** The picture's place in the list. */
function entry(picture) {
  picture.button = Object.assign(document.createElement("button"), { type: "button", title: picture.file.name });
  picture.label = Object.assign(document.createElement("span"), { className: "unseen" });
  picture.button.append(picture.canvas, picture.label);
  picture.button.addEventListener("click", () => look(picture));
  picture.entry = document.createElement("li");
  picture.entry.append(picture.button);
  return picture.entry;
}

function look(picture) {
  note = failure = "";
  current = picture;
  picture?.entry.scrollIntoView({ block: "nearest", inline: "nearest" });
  return changed(picture);
}

async function changed(picture) {
  render();
  if (picture !== current) return;
  await comparison.show(picture?.before, picture?.after).catch(() => {
    picture.problem = "The browser cannot show this picture. It can be downloaded all the same.";
  });
  render();
  // What had the focus may be gone from the page
  if (document.activeElement === body && current?.state === "done") $("cut").focus({ preventScroll: true });
}

function remove(gone) {
  const at = pictures.indexOf(current);
  pictures = pictures.filter((each) => !gone.includes(each));
  for (const each of gone) {
    each.drop();
    each.entry.remove();
  }
  look(pictures[Math.min(at, pictures.length - 1)] ?? null);
  if (!current) $("file").focus();
}

function cancel() {
  if (saving) saving.abort();
  else if (current.busy && current.result) current.stop();
  else remove([current]);
  render();
}

/** Puts on the page what the variables say. */
function render() {
  const busy = Boolean(saving || current?.busy);
  body.dataset.state = !current ? "empty" : current.result ? "done" : current.state === "failed" ? "failed" : "working";
  body.classList.toggle("busy", busy);
  $("remove").textContent = busy ? "Cancel" : "Remove";
  // Not `disabled`, which would take the focus from the button that was just pressed
  for (const id of ["download", "all", "again"]) $(id).setAttribute("aria-disabled", String(id === "again" ? busy : Boolean(saving)));
  model.disabled = Boolean(saving);
  seed.readOnly = busy;
  $("retry").hidden = !(current?.problem || (!current && failure && !models.length));
  amount.value = current?.percent ?? 100;
  $("amount-value").textContent = `${amount.value} %`;
  comparison.setAmount(amount.value / 100);
  if (current?.result && document.activeElement !== seed) seed.value = current.result.seed ?? "";
  $("seeds").replaceChildren(...[...(current?.seeds ?? [])].map((each) => new Option(each)));
  $("zoom").setAttribute("aria-pressed", String(comparison.isActual()));
  $("zoom").textContent = `Zoom ${comparison.full()} %`;

  $("pictures").hidden = pictures.length < 2;
  for (const each of pictures) {
    each.button.dataset.state = each.state;
    each.button.setAttribute("aria-current", String(each === current));
    each.label.textContent = `${each.file.name}: ${STATES[each.state]}`;
  }
  const done = pictures.filter((each) => each.result).length, failed = pictures.filter((each) => each.state === "failed").length;
  say($("count"), pictures.length < 2 ? "" : `${done} of ${pictures.length} done${failed ? `, ${failed} failed` : ""}`);
  $("all").hidden = done < 2; // the button in the bar saves one
  say(error, sentence(failure || current?.problem || ""));
  showProgress();
}

function showProgress() {
  const { text, part } = saving?.said ?? current?.said ?? {};
  const busy = body.classList.contains("busy");
  progress.classList.toggle("unknown", part === null);
  progress.style.setProperty("--done", `${100 * (part ?? 0)}%`);
  if (part === null) progress.removeAttribute("aria-valuenow");
  else progress.setAttribute("aria-valuenow", Math.round(100 * part) || 0);
  say(status, busy ? text : note || current?.result?.warning || (current?.result && "Done") || "");
}

/** Changes a live region only where there is something new to read out. */
function say(region, text) {
  if (region.textContent !== text) region.textContent = text;
}

const sentence = (text) => text && text[0].toUpperCase() + text.slice(1);

/** Saves what `make(signal, told)` makes. */
async function save(make) {
  if (saving) return;
  saving = new AbortController();
  const { signal } = saving;
  const told = (text, part) => { if (saving) saving.said = { text, part }; showProgress(); };
  note = failure = "";
  told("Preparing…", null);
  render();
  try {
    const { blob, name, warning } = await make(signal, told);
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000); // browsers read it a moment later
    note = [warning, `Saved as ${name}`].filter(Boolean).join(". ");
  } catch (caught) {
    if (!signal.aborted) failure = caught.message;
  }
  saving = null;
  render();
}

async function archive(signal, told) {
  const files = [], warned = [];
  const ready = pictures.filter((each) => each.result);
  for (const [number, picture] of ready.entries()) {
    const made = await picture.made(signal, (text) => told(`${number + 1} of ${ready.length}: ${text}`, number / ready.length));
    files.push(made);
    if (made.warning) warned.push(`${made.name}: ${made.warning}`);
  }
  told("Packing…", null);
  const blob = await zip(files);
  signal.throwIfAborted();
  return { blob, name: "pictures.zip", warning: warned.join("; ") };
}

const selected = () => models.find(({ name }) => name === model.value);

/** A model that can give a picture back as it was, which one that enlarges cannot. */
const untouching = () => [selected(), ...models].find((each) => each?.scale === 1)?.name ?? model.value;

function describe() {
  const chosen = selected();
  const title = !chosen || /restor/.test(chosen.task) ? "Restore photographs" : `Translate: ${chosen.source} to ${chosen.target}`;
  $("title").textContent = document.title = title;
  $("amount-label").hidden = chosen?.scale > 1; // an enlarged picture cannot be blended with the original
  $("noise").hidden = !chosen?.noise;
}

async function readModels() {
  failure = "";
  try {
    ({ models } = await json("/models"));
    if (!models.length) failure = "This server has no models. Whoever runs it can put some into its folder of weights.";
  } catch (caught) {
    failure = caught.message;
  }
  model.replaceChildren(...models.map(({ name, default: chosen }) => new Option(name, name, chosen, chosen)));
  $("model-label").hidden = models.length < 2;
  $("about").hidden = !models.length;
  describe();
  render();
}

/** The card in the words of people: what it does, how well, from what, and who may use it. */
async function showCard() {
  try {
    const told = await json(`/models/${encodeURIComponent(model.value)}`);
    const rows = {
      "What it does": `${told.task}: ${told.source} → ${told.target}`,
      "Size of the result": told.scale > 1 ? `${told.scale} × as wide and as high` : "",
      "Chance": told.noise ? "Each seed gives another result" : "",
      "Measured": Object.entries(told.metrics).map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`),
      "Measured on": told.test_set,
      "Trained on": told.data,
      "Trained at": `${told.size} × ${told.size} pixels`,
      "Licence of the weights": told.licence,
      "Version": told.version,
    };
    $("card-name").textContent = model.value;
    $("card-rows").replaceChildren(...Object.entries(rows).filter(([, value]) => value.length).flatMap(([name, value]) => [
      Object.assign(document.createElement("dt"), { textContent: name }),
      ...[value].flat().map((each) => Object.assign(document.createElement("dd"), { textContent: each })),
    ]));
    $("card").showModal();
  } catch (caught) {
    failure = caught.message;
    render();
  }
}

function again(wish) {
  if (current.busy) return;
  current.queue(wish);
  look(current);
  run();
}

/** What was dropped, less folders, which a browser hands over as files that cannot be read. */
function dropped({ items, files }) {
  const folder = [...items].some((item) => item.webkitGetAsEntry?.()?.isDirectory);
  if (!folder) return take(files);
  take([...files].filter((file) => file.type), "Folders are not opened here: drop the pictures in it. For large ones there is translate-batch.");
}

$("file").addEventListener("change", ({ target }) => { take(target.files); target.value = ""; });
document.addEventListener("paste", ({ clipboardData }) => { if (clipboardData.files.length) take(clipboardData.files); });
for (const type of ["dragenter", "dragover"]) {
  document.addEventListener(type, (event) => { event.preventDefault(); body.classList.add("over"); });
}
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) body.classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  body.classList.remove("over");
  dropped(event.dataTransfer);
});
amount.addEventListener("input", () => { current.percent = Number(amount.value); render(); });
model.addEventListener("change", () => {
  describe();
  for (const each of pictures) {
    each.queue();
    each.forget();
    if (selected().scale > 1) each.percent = 100;
  }
  look(current);
  run();
});
$("viewport").addEventListener("zoom", ({ detail }) => { comparison.setActual(!comparison.isActual(), detail); render(); });
$("zoom").addEventListener("click", () => { comparison.setActual(!comparison.isActual()); render(); });
$("about").addEventListener("click", showCard);
$("add").addEventListener("click", () => $("file").click());
$("remove").addEventListener("click", cancel);
$("clear").addEventListener("click", () => remove([...pictures]));
$("retry").addEventListener("click", () => (current ? again(null) : readModels()));
$("again").addEventListener("click", () => again(null));
seed.addEventListener("change", () => { if (seed.value.trim() !== current.result?.seed) again(seed.value.trim() || null); });
$("download").addEventListener("click", () => save((...how) => current.made(...how)));
$("all").addEventListener("click", () => save(archive));
await readModels();
