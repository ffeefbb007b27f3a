// The comparison: two pictures on top of each other, cut by a divider that is moved by pointer or keyboard.

const $ = (id) => document.getElementById(id);
const viewport = $("viewport"), frame = $("frame"), before = $("before"), after = $("after"), cut = $("cut"), divider = $("divider");
const work = viewport.parentElement;
let actual = false;

/** Shows these addresses as the pictures before and after, either of which may be missing. Rejects where the browser cannot. */
export async function show(beforeUrl, afterUrl) {
  if (before.getAttribute("src") !== (beforeUrl ?? null)) setActual(false); // another result of the same picture is looked at as closely
  await Promise.all([load(before, beforeUrl), load(after, afterUrl)]);
  resize();
}

async function load(image, url) {
  if (!url) image.removeAttribute("src");
  if (!url || image.getAttribute("src") === url) return;
  image.src = url;
  await image.decode().catch((error) => { if (image.getAttribute("src") === url) throw error; }); // else another is wanted by now
}

export const isActual = () => actual;

/** Between fitting into the window and the full resolution, around `point` (0..1, 0..1). */
export function setActual(on, point = [0.5, 0.5]) {
  actual = on;
  viewport.classList.toggle("actual", on);
  // So that arrow keys can scroll it
  if (on) viewport.tabIndex = 0;
  else viewport.removeAttribute("tabindex");
  resize();
  if (on) {
    viewport.scrollLeft = point[0] * frame.clientWidth - viewport.clientWidth / 2;
    viewport.scrollTop = point[1] * frame.clientHeight - viewport.clientHeight / 2;
  }
  place();
}

export const setAmount = (amount) => { after.style.opacity = amount; };

/** Sizes in CSS pixels: of the picture, and of the room for it; and the scale at which it fits. */
function measure() {
  const shown = after.naturalWidth > before.naturalWidth ? after : before;
  const [width, height] = [shown.naturalWidth || 1, shown.naturalHeight || 1];
  const room = [work.parentElement.clientWidth, Math.max(240, window.innerHeight * 0.66)];
  const fit = Math.min(room[0] / width, room[1] / height, Math.max(1, 320 / Math.max(width, height)));
  return { width, height, room, fit };
}

/** Percent to which the zoom enlarges: each pixel of the picture on one of the screen, or on more where it is that large already. */
export function full() {
  return 100 * Math.max(1, Math.ceil(1.5 * measure().fit * window.devicePixelRatio));
}

function resize() {
  const { width, height, room, fit } = measure();
  const scale = actual ? full() / 100 / window.devicePixelRatio : fit;
  frame.style.width = `${width * scale}px`;
  frame.style.height = `${height * scale}px`;
  viewport.style.width = `${Math.min(room[0], width * scale)}px`;
  viewport.style.height = `${Math.min(room[1], height * scale)}px`;
  place();
}

// The divider is placed in the viewport, so that it stays in sight at 100 %; the cut is placed in the picture below it
function place() {
  const share = cut.value / 100;
  const x = share * viewport.clientWidth;
  cut.setAttribute("aria-valuetext", `${Math.round(cut.value)} %`);
  divider.style.left = `${x}px`;
  divider.style.height = `${viewport.clientHeight}px`;
  frame.style.setProperty("--cut", `${x + viewport.scrollLeft - frame.offsetLeft}px`);
  document.querySelector(".tag.before").style.opacity = share > 0.12 ? 1 : 0;
  document.querySelector(".tag.after").style.opacity = share < 0.88 ? 1 : 0;
}

function follow(event) {
  const box = viewport.getBoundingClientRect();
  cut.value = (100 * (event.clientX - box.left)) / viewport.clientWidth;
  place();
}

/** Calls `move` for each movement of the pointer until it is released. */
function drag(element, start, move) {
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !start(event)) return;
    element.setPointerCapture(event.pointerId);
    const end = () => element.removeEventListener("pointermove", move);
    element.addEventListener("pointermove", move);
    element.addEventListener("pointerup", end, { once: true });
    element.addEventListener("pointercancel", end, { once: true });
  });
}

cut.step = "any";
drag(divider.firstElementChild, () => true, follow);
drag(
  viewport,
  (event) => {
    if (!actual) follow(event);
    return !actual || event.pointerType === "mouse"; // fingers pan by themselves
  },
  (event) => (actual ? viewport.scrollBy(-event.movementX, -event.movementY) : follow(event)),
);
// A range with step "any" has keys of the browser's own choice: make them even
cut.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 }[event.key];
  if (!step) return;
  event.preventDefault();
  cut.value = Number(cut.value) + step;
  place();
});
cut.addEventListener("input", place);
viewport.addEventListener("scroll", place);
viewport.addEventListener("dblclick", (event) => {
  const box = frame.getBoundingClientRect();
  const point = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  viewport.dispatchEvent(new CustomEvent("zoom", { bubbles: true, detail: point }));
});
window.addEventListener("resize", resize);
