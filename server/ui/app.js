// From a picture dropped, pasted or chosen to its translation. The work is done by POST /translate.

import { isActual, setActual, setAmount, showAfter, showBefore } from "./compare.js";

const $ = (id) => document.getElementById(id);
const body = document.body, model = $("model"), amount = $("amount"), status = $("status"), error = $("error"), progress = $("progress");
let models = [];
let file = null;      // the picture as it was given
let shown = true;     // whether this browser can show its format
let result = null;    // { blob, name, seed } of the whole strength
let request = null;   // the XMLHttpRequest in flight
const urls = new Set();

class Cancelled extends Error {}

/** POST /translate with progress. Resolves to { blob, name, warning, seed }; rejects with a sentence for the user. */
function post(picture, query) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    form.append("file", picture, picture.name || "picture");
    request = new XMLHttpRequest();
    request.open("POST", `/translate?${new URLSearchParams(query)}`);
    request.responseType = "blob";
    request.upload.onprogress = (event) => report("Sending", event);
    request.upload.onload = () => report("Working on it");
    request.onprogress = (event) => report("Receiving", event);
    request.onabort = () => reject(new Cancelled());
    request.onerror = () => reject(new Error("The server cannot be reached. Is it still running?"));
    request.onload = async ({ target }) => {
      if (target.status === 200) {
        const named = /filename\*=UTF-8''([^;]+)/.exec(target.getResponseHeader("Content-Disposition") ?? "");
        const warning = decodeURIComponent(target.getResponseHeader("X-Translate-Warning") ?? "");
        const seed = target.getResponseHeader("X-Translate-Seed");
        resolve({ blob: target.response, name: named ? decodeURIComponent(named[1]) : "picture", warning, seed });
      } else {
        const text = await target.response.text();
        try { reject(new Error(JSON.parse(text).detail)); } catch { reject(new Error(`The server answered ${target.status}.`)); }
      }
    };
    request.send(form);
  }).finally(() => { request = null; });
}

function report(what, event) {
  const part = event?.lengthComputable ? event.loaded / event.total : null;
  progress.classList.toggle("unknown", part === null || part === 1);
  progress.style.setProperty("--done", `${100 * (part ?? 0)}%`);
  const text = part !== null && part < 1 ? `${what}…` : "Working on it…";
  if (status.textContent !== text) status.textContent = text;
}

function url(blob) {
  const made = URL.createObjectURL(blob);
  urls.add(made);
  return made;
}

function clear() {
  request?.abort();
  for (const each of urls) URL.revokeObjectURL(each);
  urls.clear();
  result = null;
  error.textContent = status.textContent = "";
}

const setState = (state) => { body.dataset.state = state; };

function fail(problem) {
  status.textContent = "";
  error.textContent = problem.message[0].toUpperCase() + problem.message.slice(1);
}

/** Takes a picture and translates it. */
async function take(picture) {
  clear();
  file = picture;
  setState("working");
  report("Sending");
  const current = picture;
  try {
    shown = await showBefore(url(picture)).then(() => true, () => false);
    if (file !== current) return;
    // What the browser cannot show, such as TIFF, the server shows it: untouched first, then translated
    const preview = shown ? {} : { format: "jpeg", quality: 92 };
    if (!shown) await showBefore(url((await post(picture, { model: untouching(), ...preview, amount: 0 })).blob));
    if (file !== current) return;
    result = await post(picture, { model: model.value, ...preview });
    await showAfter(url(result.blob));
    if (file !== current) return;
    setState("done");
    showZoom();
    setStrength(100);
    status.textContent = result.warning;
    $("cut").focus({ preventScroll: true });
  } catch (problem) {
    if (file !== current || problem instanceof Cancelled) return;
    setState($("before").naturalWidth ? "failed" : "empty");
    fail(problem);
  }
}

function reset() {
  clear();
  file = null;
  $("before").removeAttribute("src");
  $("after").removeAttribute("src");
  setState("empty");
  $("file").value = "";
  $("file").focus();
}

function setStrength(percent) {
  amount.value = percent;
  $("amount-value").textContent = `${percent} %`;
  setAmount(percent / 100);
}

/** Saves the picture at the strength chosen, in its own format with everything it carried: so the server makes it, not a canvas. */
async function download() {
  const strength = amount.value / 100;
  let made = result;
  error.textContent = "";
  if (strength < 1 || !shown) {
    body.classList.add("busy");
    $("download").disabled = true;
    try {
      made = await post(file, { model: model.value, ...(strength < 1 && { amount: strength }), ...(result.seed && { seed: result.seed }) });
      status.textContent = made.warning;
    } catch (problem) {
      status.textContent = "";
      return problem instanceof Cancelled || fail(problem);
    } finally {
      body.classList.remove("busy");
      $("download").disabled = false;
    }
  }
  const link = Object.assign(document.createElement("a"), { href: url(made.blob), download: made.name });
  link.click();
  status.textContent = `Saved as ${made.name}`;
}

function choose(files) {
  const [first, ...others] = files;
  if (!first) return;
  take(first).then(() => {
    if (others.length) status.textContent = "One picture at a time here: the first was taken. For folders there is translate-batch.";
  });
}

function zoom(point) {
  setActual(!isActual(), point);
  showZoom();
}

function showZoom() {
  $("zoom").setAttribute("aria-pressed", String(isActual()));
}

const selected = () => models.find(({ name }) => name === model.value);

/** A model that can give a picture back as it was, which one that enlarges cannot. */
const untouching = () => [selected(), ...models].find((each) => each?.scale === 1)?.name ?? model.value;

function describe() {
  const chosen = selected();
  const title = !chosen || /restor/.test(chosen.task) ? "Restore a photograph" : `Translate: ${chosen.source} to ${chosen.target}`;
  $("title").textContent = document.title = title;
  $("amount-label").hidden = chosen?.scale > 1; // an enlarged picture cannot be blended with the original
}

async function listModels() {
  try {
    ({ models } = await (await fetch("/models")).json());
  } catch {
    return fail(new Error("The server cannot be reached. Is it still running?"));
  }
  model.replaceChildren(...models.map(({ name, default: chosen }) => new Option(name, name, chosen, chosen)));
  model.parentElement.hidden = models.length < 2;
  describe();
}

$("file").addEventListener("change", ({ target }) => choose(target.files));
document.addEventListener("paste", ({ clipboardData }) => choose(clipboardData.files));
for (const type of ["dragenter", "dragover"]) {
  document.addEventListener(type, (event) => { event.preventDefault(); body.classList.add("over"); });
}
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) body.classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  body.classList.remove("over");
  choose(event.dataTransfer.files);
});
amount.addEventListener("input", () => setStrength(amount.value));
model.addEventListener("change", () => { describe(); if (file) take(file); });
$("viewport").addEventListener("zoom", ({ detail }) => zoom(detail));
$("zoom").addEventListener("click", () => zoom());
$("cancel").addEventListener("click", () => (body.dataset.state === "working" ? reset() : request?.abort()));
$("again").addEventListener("click", reset);
$("download").addEventListener("click", download);
await listModels();
