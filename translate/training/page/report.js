"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
function draw(parent, tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

// What the reader has chosen outlives a reload
const chosen = (() => { try { return JSON.parse(sessionStorage.getItem("report")) ?? {}; } catch { return {}; } })();
function choose(key, value) {
  chosen[key] = value;
  try { sessionStorage.setItem("report", JSON.stringify(chosen)); } catch { /* not everywhere may pages keep something */ }
}

const whole = (n) => Math.round(n).toLocaleString("en");
const MINUS = (text) => text.replace("-", "−");
function places(largest) {
  return largest >= 1000 ? 0 : largest >= 100 ? 1 : largest >= 10 ? 2 : largest >= 1 ? 3 : largest >= 0.01 ? 4 : 6;
}
function number(v) {
  if (v === null || v === undefined) return "not finite";
  const size = Math.abs(v);
  if (Number.isInteger(v)) return MINUS(whole(v));
  if (size && (size < 1e-4 || size >= 1e7)) return MINUS(v.toExponential(2));
  return MINUS(size >= 1000 ? whole(v) : v.toFixed(places(size)));
}
function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
const date = (seconds) => new Date(seconds * 1000).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });

/* How it stands */
function head() {
  document.title = `${data.name}: training report`;
  document.body.dataset.state = data.state;
  $("kind").textContent = [data.model, data.about].filter(Boolean).join(", ");
  $("name").textContent = data.name;
  $("says").textContent = {
    running: `Running, at step ${whole(data.step)} of ${whole(data.steps)} when this was written`,
    finished: `Finished, all ${whole(data.steps)} steps`,
    stopped: `Stopped at step ${whole(data.step)} of ${whole(data.steps)}`,
    unknown: `Written at step ${whole(data.step)} of ${whole(data.steps)}; whether it runs is not known`,
  }[data.state];
  document.querySelector("#bar span").style.width = `${Math.min(100, (100 * data.step) / data.steps)}%`;
  const fact = (name, value, more) => $("facts").append(el("div", {}, el("dt", {}, name), el("dd", {}, value, more ? el("small", {}, ` ${more}`) : null)));
  if (data.best && data.best.score !== undefined && data.best.score !== null) fact(`best ${data.best.measure}`, number(data.best.score), `at step ${whole(data.best.step)}`);
  else if (data.best) fact("chosen", `step ${whole(data.best.step)}`, "the last one measured, as the recipe has it");
  if (data.spent >= 1) fact("trained for", duration(data.spent), data.sessions.length > 1 ? `in ${data.sessions.length} sessions` : "");
  if (data.left !== null) fact("left", `about ${duration(data.left)}`);
  const alert = (...text) => $("alerts").append(el("p", {}, ...text));
  if (data.state === "stopped") alert(`It ended so: ${data.end}. `, ...(/--resume|begin again/.test(data.end) ? [] : [el("code", {}, "translate-train --resume"), " with this folder goes on from the last checkpoint."]));
  for (const [name, step] of Object.entries(data.unsound)) alert(`${name} was no finite number at step ${whole(step)}, the first of them.`);
  for (const text of data.warnings) alert(text);
  const silent = Date.now() / 1000 - data.written;
  if (data.state === "running" && silent > 5 * data.patience) {
    document.body.dataset.state = "unknown";
    alert(`No word for ${duration(silent)}, where this page is written about every minute. Unless it is a copy, or a validation takes long, the process was killed; `,
      el("code", {}, "translate-train --resume"), " with this folder goes on from the last checkpoint.");
  }
  $("written").textContent = `Written ${date(data.written)}.`;
  if (data.state === "running") {
    const box = $("follow").querySelector("input");
    $("follow").hidden = false;
    box.checked = Boolean(chosen.follow);
    let timer = 0;
    const follow = () => { clearTimeout(timer); if (box.checked) timer = setTimeout(() => location.reload(), 30000); };
    box.addEventListener("change", () => { choose("follow", box.checked); follow(); });
    follow();
  }
}

function section(title, hint, extra) {
  const made = el("section", {}, el("div", { class: "head" }, el("h2", {}, title), el("span", { class: "hint" }, hint ?? "", extra)));
  $("main").append(made);
  return made;
}

/* Curves: all of them show the step under the pointer */
const charts = [];
function point(step) { for (const chart of charts) chart.point(step); }

function ticks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const each = [1, 2, 2.5, 5, 10].map((f) => f * power).find((size) => size >= rough * 0.999);
  const found = [];
  for (let at = Math.ceil(low / each - 1e-9) * each; at <= high + each * 1e-6; at += each) found.push(Math.abs(at) < each * 1e-6 ? 0 : at);
  return found;
}
function decades(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const f of [1, 2, 5]) { const at = f * 10 ** power; if (at >= low * 0.999 && at <= high * 1.001) found.push(at); }
  const ones = found.filter((at) => /^1/.test(at.toExponential()));
  if (found.length < 3) return ticks(low, high, 4).filter((at) => at > 0);
  return ones.length >= 3 ? ones.filter((_, i) => i % Math.ceil(ones.length / 5) === 0) : found.length <= 6 ? found : found.filter((_, i) => i % 2 === 0);
}
const short = (v) => MINUS(Math.abs(v) >= 1e5 || (v && Math.abs(v) < 1e-5) ? v.toExponential(0).replace("e+", "e") : Math.abs(v) >= 1000 ? whole(v) : String(+v.toPrecision(4)));

function smooth(points) {  // the mean of what lies around, over a twelfth of the curve
  const half = Math.max(1, Math.round(points.length / 24));
  return points.map((p, i) => {
    const near = points.slice(Math.max(0, i - half), i + half + 1).map((q) => q[1]).filter((v) => v !== null);
    return [p[0], p[1] === null || !near.length ? null : near.reduce((a, b) => a + b) / near.length];
  });
}

function chart(parent, spec, log) {
  const read = el("span", { class: "read" }), svg = document.createElementNS(SVG, "svg");
  const title = spec.of ? el("h3", {}, el("span", {}, `${spec.of} `), spec.title) : el("h3", {}, spec.title);
  parent.append(el("div", { class: "chart" }, el("header", {}, title, read), svg));
  const every = spec.curves.flatMap((curve) => curve.points.flatMap((p) => p.slice(1).filter((v) => v !== null)));
  const turns = (points) => points.filter((p, i) => i > 1 && (p[1] - points[i - 1][1]) * (points[i - 1][1] - points[i - 2][1]) < 0).length;
  const noisy = (curve) => spec.kind !== "measure" && curve.points.length >= 24 && turns(curve.points) > curve.points.length / 4;
  const colour = (i) => `var(--c${i % 6})`;
  const end = Math.max(data.step, ...spec.curves.map((curve) => curve.points.at(-1)?.[0] ?? 0));
  let cross = null, dots = [], x = null, y = null, bottom = 0, right = 0;
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${spec.of} ${spec.title} over steps`);

  function render() {
    const width = svg.clientWidth, height = svg.clientHeight;
    if (!width) return;
    svg.replaceChildren();
    const logs = log() && every.length && Math.min(...every) > 0;
    // A first value far off must not flatten the rest, so the scale is that of the curves, not of single spikes
    const drawn = spec.curves.flatMap((curve) => (noisy(curve) ? [...smooth(curve.points), ...curve.points.slice(Math.floor(curve.points.length / 20))] : curve.points).map((p) => p[1])).filter((v) => v !== null);
    let low = Math.min(...drawn), high = Math.max(...drawn);
    if (!drawn.length) [low, high] = [0, 1];
    if (high - low < 1e-9 * Math.max(1, Math.abs(high))) { const room = Math.abs(high) * 0.1 || 1; [low, high] = logs ? [low / 1.2, high * 1.2] : [low - room, high + room]; }
    else if (logs) [low, high] = [low / 1.05, high * 1.05];
    else { const room = (high - low) * 0.06; low = low >= 0 && low < room * 4 ? 0 : low - room; high += room; }
    const marks = logs ? decades(low, high) : ticks(low, high, 4);
    const left = 8 + 6.4 * Math.max(3, ...marks.map((mark) => short(mark).length));
    right = width - (spec.curves.length > 1 ? 14 + 6.6 * Math.max(...spec.curves.map((curve) => curve.name.length)) : 10);
    bottom = height - 20;
    x = (step) => left + ((right - left) * step) / end;
    const at = logs ? (v) => (Math.log(Math.max(v, 1e-30)) - Math.log(low)) / (Math.log(high) - Math.log(low)) : (v) => (v - low) / (high - low);
    y = (v) => bottom - (bottom - 8) * at(v);
    for (const mark of marks) {
      draw(svg, "line", { class: "grid", x1: left, x2: right, y1: y(mark), y2: y(mark) });
      draw(svg, "text", { x: left - 7, y: y(mark) + 3.5, "text-anchor": "end" }, short(mark));
    }
    for (const mark of ticks(0, end, Math.max(2, Math.round((right - left) / 90)))) {
      if (x(mark) <= right - 1 || mark === end) draw(svg, "text", { x: x(mark), y: height - 4, "text-anchor": mark === 0 ? "start" : x(mark) > right - 20 ? "end" : "middle" }, end >= 1e4 && mark ? `${short(mark / 1000)}k` : whole(mark));
    }
    const clip = `clip${charts.indexOf(self)}`;
    draw(draw(svg, "clipPath", { id: clip }), "rect", { x: left - 2, y: 4, width: right - left + 4, height: bottom - 2 });
    const plot = draw(svg, "g", { "clip-path": `url(#${clip})` });
    const path = (points) => {
      let pen = "M";
      return points.map((p) => { if (p[1] === null) { pen = "M"; return ""; } const piece = `${pen}${x(p[0]).toFixed(1)} ${y(p[1]).toFixed(1)}`; pen = "L"; return piece; }).join("");
    };
    const names = [];
    spec.curves.forEach((curve, i) => {
      const banded = curve.points.filter((p) => p.length > 2 && p.every((v) => v !== null));
      if (banded.length) draw(plot, "path", { class: "band", fill: colour(i), d: `${path(banded.map((p) => [p[0], p[3]]))}${path(banded.map((p) => [p[0], p[2]]).reverse()).replace("M", "L")}Z` });
      draw(plot, "path", { class: noisy(curve) ? "raw thin" : "raw", stroke: colour(i), d: path(curve.points) });
      const line = noisy(curve) ? smooth(curve.points) : curve.points;
      if (noisy(curve)) draw(plot, "path", { class: "mean", stroke: colour(i), d: path(line) });
      if (curve.points.length === 1 && curve.points[0][1] !== null) draw(svg, "circle", { cx: x(curve.points[0][0]), cy: y(curve.points[0][1]), r: 2.5, fill: colour(i) });
      for (const p of curve.points) if (p[1] === null) draw(svg, "line", { class: "lost", x1: x(p[0]), x2: x(p[0]), y1: bottom - 6, y2: bottom });
      const last = line.filter((p) => p[1] !== null).at(-1);
      if (spec.curves.length > 1 && last) names.push({ name: curve.name, colour: colour(i), at: Math.min(bottom, Math.max(12, y(last[1]))) });
      const top = data.best && spec.kind === "measure" ? curve.points.find((p) => p[0] === data.best.step) : null;
      if (top && top[1] !== null) draw(svg, "circle", { class: "best", stroke: colour(i), cx: x(top[0]), cy: y(top[1]), r: 3.6 });
    });
    names.sort((a, b) => a.at - b.at).forEach((name, i) => { if (i) name.at = Math.max(name.at, names[i - 1].at + 13); });
    const over = (names.at(-1)?.at ?? 0) - bottom;
    for (const name of names) draw(svg, "text", { class: "own", x: right + 7, y: name.at + 4 - Math.max(0, over), style: `fill: ${name.colour}` }, name.name);
    cross = draw(svg, "line", { class: "cross", y1: 8, y2: bottom, visibility: "hidden" });
    dots = spec.curves.map((_, i) => draw(svg, "circle", { r: 3, fill: colour(i), visibility: "hidden" }));
    dots.push(draw(svg, "text", { class: "at", y: height - 4, visibility: "hidden" }));
    point(null);
  }
  const nearest = (points, step) => points.reduce((best, p) => (Math.abs(p[0] - step) < Math.abs(best[0] - step) ? p : best), points[0]);
  function point(step) {
    const seen = spec.curves.map((curve) => (step === null ? curve.points.at(-1) : nearest(curve.points, step)));
    read.replaceChildren(...seen.map((p, i) => el("b", { style: `color: ${colour(i)}` }, `${spec.curves.length > 1 ? `${spec.curves[i].name} ` : ""}${number(p?.[1])}`)));
    if (!cross) return;
    for (const part of [cross, ...dots]) part.setAttribute("visibility", step === null ? "hidden" : "visible");
    if (step === null) return;
    const place = seen[0][0];
    for (const [key, value] of [["x1", x(place)], ["x2", x(place)]]) cross.setAttribute(key, value);
    seen.forEach((p, i) => { dots[i].setAttribute("cx", x(p[0])); dots[i].setAttribute("cy", p[1] === null ? bottom : Math.max(4, Math.min(bottom, y(p[1])))); });
    const label = dots.at(-1);
    label.textContent = `step ${whole(place)}`;
    label.setAttribute("x", x(place));
    label.setAttribute("text-anchor", x(place) > right - 40 ? "end" : x(place) < 80 ? "start" : "middle");
  }
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    if (x) pointAll(Math.max(0, Math.min(end, ((event.clientX - box.left - x(0)) / (x(end) - x(0))) * end)));
  });
  svg.addEventListener("pointerleave", () => pointAll(null));
  const self = { render, point };
  charts.push(self);
  new ResizeObserver(render).observe(svg);
}
const pointAll = point;

function curves(kind, title, hint) {
  const found = data.charts.filter((spec) => spec.kind === kind);
  if (!found.length) return;
  const able = kind !== "measure" && found.some((spec) => spec.curves.every((curve) => curve.points.every((p) => p.slice(1).every((v) => v === null || v > 0))));
  const box = el("input", { type: "checkbox" });
  box.checked = Boolean(chosen[`log ${kind}`]);
  box.addEventListener("change", () => { choose(`log ${kind}`, box.checked); charts.forEach((each) => each.render()); });
  const place = el("div", { class: "charts" });
  section(title, hint, able ? el("label", { title: "Charts with values of zero or less keep their scale" }, box, " log scale") : null).append(place);
  for (const spec of found) chart(place, spec, () => box.checked);
}

/* Previews */
function pictures() {
  if (!data.previews.length) return;
  const made = section("Previews", data.caption), n = data.previews.length;
  const slider = el("input", { type: "range", min: 0, max: n - 1, step: 1, "aria-label": "validation shown" });
  const out = el("output"), scores = el("span", { class: "hint" }), image = el("img", { alt: "" });
  const show = () => {
    const { step, picture } = data.previews[slider.value];
    const row = data.measures.rows.find((each) => each[0] === step);
    const at = data.measures.columns.indexOf(data.best?.measure);
    out.textContent = `step ${whole(step)}`;
    scores.textContent = row && at >= 0 ? `${data.best.measure} ${number(row[at + 1])}` : "";
    image.src = picture;
    image.alt = `preview at step ${step}`;
  };
  slider.value = Math.min(n - 1, chosen.preview ?? n - 1);
  slider.addEventListener("input", () => { show(); choose("preview", slider.value < n - 1 ? Number(slider.value) : undefined); pointAll(data.previews[slider.value].step); });
  slider.addEventListener("change", () => pointAll(null));
  show();
  made.append(...(n > 1 ? [el("div", { class: "slide" }, slider, out, scores)] : []), el("div", { class: "stage" }, image));
}

/* Tables */
function table(columns, rows, kind = "") {
  return el("table", { class: kind }, el("thead", {}, el("tr", {}, ...columns.map((name) => el("th", {}, name)))), el("tbody", {}, ...rows));
}
function measures() {
  const { columns, rows } = data.measures;
  if (!rows.length) return;
  const digits = columns.map((_, i) => (rows.every((row) => Number.isInteger(row[i + 1])) ? 0 : places(Math.max(...rows.map((row) => Math.abs(row[i + 1] ?? 0))))));
  const lines = [...rows].reverse().map((row) => el("tr", { class: data.best && row[0] === data.best.step ? "chosen" : "" },
    el("td", {}, whole(row[0])), ...columns.map((_, i) => el("td", {}, row[i + 1] === null ? "not finite" : MINUS(row[i + 1].toFixed(digits[i]))))));
  const hint = rows.length < data.validations ? `${rows.length} of ${data.validations} validations; metrics.jsonl has all` : "of the averaged generator";
  section("Every validation", hint).append(el("div", { class: "sheet tall" }, table(["step", ...columns], lines)));
}
function audit() {
  const found = data.audit;
  if (!found) return;
  if (found.skipped) { section("Data", found.skipped); return; }
  const made = section("Data", `${found.layout}: ${found.kind}`);
  const items = [...found.findings].sort((a, b) => b.breaks - a.breaks).map((finding) => el("li", { class: finding.breaks ? "breaks" : "" },
    el("b", {}, finding.breaks ? "error" : "warning"), ` ${finding.says} (${whole(finding.where.length)})`,
    el("details", {}, el("summary", {}, "which"), ...finding.where.slice(0, 20).map((line) => el("code", {}, line)), finding.where.length > 20 ? el("code", {}, `and ${whole(finding.where.length - 20)} more, which audit.json names`) : null)));
  if (items.length) made.append(el("ul", { class: "findings" }, ...items));
  else made.querySelector(".hint").append(". Nothing to complain of.");
  const spread = ([least, middle, most]) => (least === most ? whole(least) : `${whole(least)} to ${whole(most)}, half ≤ ${whole(middle)}`);
  const rows = found.rows.map((row) => el("tr", {}, el("td", {}, row.split), el("td", {}, row.side), el("td", { class: "number" }, whole(row.count)), el("td", { class: "number" }, spread(row.width)),
    el("td", { class: "number" }, spread(row.height)), el("td", {}, Object.entries(row.modes).map(([mode, count]) => (Object.keys(row.modes).length > 1 ? `${count}× ${mode}` : mode)).join(", "))));
  made.append(el("div", { class: "sheet" }, table(["split", "side", "pictures", "width", "height", "pixels"], rows, "words")));
  made.querySelectorAll("th").forEach((th, i) => { if (i >= 2 && i <= 4) th.className = "number"; });
}
function lives() {
  if (!data.sessions.length) return;
  const made = section("Sessions and environment");
  const rows = data.sessions.map((life, i) => {
    const last = i === data.sessions.length - 1, before = data.sessions[i - 1]?.environment ?? life.environment;
    const changed = Object.keys(life.environment).filter((key) => key !== "command" && life.environment[key] !== before[key]);
    const end = life.end || (last ? "running when this was written" : "no word of its end: killed");
    return el("tr", {}, el("td", {}, date(life.began)), el("td", { class: "number" }, duration(life.heard - life.began)), el("td", { class: "number" }, `${whole(life.first)} to ${whole(life.last)}`),
      el("td", { class: "wide" }, end + (changed.length ? `; changed: ${changed.join(", ")}` : "")), el("td", { class: "wide" }, el("code", {}, life.environment.command)));
  });
  made.append(el("div", { class: "sheet" }, table(["began", "for", "steps", "end", "command"], rows, "words")));
  const known = Object.entries(data.sessions.at(-1).environment).filter(([key]) => key !== "command");
  made.append(el("div", { class: "sheet" }, el("dl", { class: "known" }, ...known.flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, value)]))));
}

head();
curves("measure", "Measures", "the ring marks the chosen checkpoint");
curves("loss", "Losses", "thin: as logged; bold: mean of the neighbourhood");
curves("engine", "Scores, rates and machine");
pictures();
measures();
audit();
section("Recipe").append(el("details", {}, el("summary", {}, "as it was resolved, with every default"), el("div", { class: "sheet" }, el("pre", {}, data.recipe))));
lives();
