// One picture, from the file to its translation by POST /translate. Every error's message is a sentence for the user.

const PATIENCE = 600; // seconds that a picture waits for its turn where the server says so; beyond, the user decides
const TRIES = 6;
const THUMBNAIL = 144; // pixels, for screens with two to a CSS pixel
const PREVIEW = { format: "jpeg", quality: 92 };
const UNREACHABLE = "The server cannot be reached. Is it still running?";

const WAITING = { text: "Waiting…", part: null };

class Problem extends Error {
  /** `wait`: the seconds after which the server wants to be asked again, NaN where it named none. */
  constructor(message, status, wait = NaN) {
    super(message);
    Object.assign(this, { status, wait });
  }
}

/** From an answer that is not what was asked for. */
async function problem(status, header, text) {
  let detail = `The server answered ${status}.`;
  try { detail = JSON.parse(text).detail ?? detail; } catch { /* some proxy's words */ }
  if (status === 401) detail = "This server asks for a key. Try again, and give yours as the password when the browser asks (with any name).";
  const after = header("Retry-After");
  return new Problem(detail, status, after === null ? NaN : /^\d+$/.test(after) ? Number(after) : (Date.parse(after) - Date.now()) / 1000);
}

/** What the server tells at `path`. */
export async function json(path) {
  const answer = await fetch(path).catch(() => { throw new Problem(UNREACHABLE); });
  if (!answer.ok) throw await problem(answer.status, (name) => answer.headers.get(name), await answer.text());
  return answer.json();
}

/** One POST /translate. Only XMLHttpRequest tells how far an upload is. */
function post(picture, query, signal, report) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    form.append("file", picture, picture.name || "picture");
    const request = new XMLHttpRequest();
    const far = (what) => ({ lengthComputable, loaded, total }) => report(what, lengthComputable && loaded < total ? loaded / total : null);
    request.open("POST", `/translate?${new URLSearchParams(query)}`);
    request.responseType = "blob";
    request.upload.onprogress = far("Sending…");
    request.upload.onload = () => report("Working on it…", null);
    request.onprogress = far("Receiving…");
    request.onabort = () => reject(signal.reason);
    request.onerror = () => reject(new Problem("The picture could not be sent: the server cannot be reached, or the file is gone."));
    request.onload = async () => {
      const header = (name) => request.getResponseHeader(name);
      if (request.status !== 200) return reject(await problem(request.status, header, await request.response.text()));
      const named = /filename\*=UTF-8''([^;]+)/.exec(header("Content-Disposition") ?? "");
      resolve({
        blob: request.response,
        name: named ? decodeURIComponent(named[1]) : "picture",
        warning: decodeURIComponent(header("X-Translate-Warning") ?? ""),
        seed: header("X-Translate-Seed"),
      });
    };
    signal.addEventListener("abort", () => request.abort(), { once: true });
    report("Sending…", 0);
    request.send(form);
  });
}

const pause = (seconds, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, 1000 * seconds);
  signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
});

/**
 * The picture translated: { blob, name, warning, seed }. Where the server is busy or has had enough of us, asks again when it says.
 * `report(text, part)` is called on the way; part is 0..1, or null where it is not known.
 */
async function translate(picture, query, signal, report) {
  for (let tried = 1; ; tried++) {
    signal.throwIfAborted();
    try {
      return await post(picture, query, signal, report);
    } catch (error) {
      if (![429, 503].includes(error.status) || !(error.wait <= PATIENCE) || tried === TRIES) throw error;
      const seconds = Math.max(1, Math.ceil(error.wait));
      const at = new Date(Date.now() + 1000 * seconds).toLocaleTimeString();
      report(`${error.status === 429 ? "This server takes no more pictures just now" : "The server is busy"}: trying again at ${at}.`, null);
      await pause(seconds, signal);
    }
  }
}

/**
 * A picture and all that is known of it. `state`: waiting, working, done or failed. `result`: { blob, name, warning, seed } at the whole
 * strength. `before`, `after`: addresses of what is shown. `native`: whether this browser can show its format.
 */
export class Picture {
  state = "waiting";
  native = true;
  result = null;
  before = null;
  after = null;
  model = null;  // the name of the one that made the result
  percent = 100; // the strength chosen
  wish = null;   // the seed asked for
  seeds = new Set();
  said = WAITING;
  problem = "";
  work = new AbortController();
  canvas = Object.assign(document.createElement("canvas"), { width: THUMBNAIL, height: THUMBNAIL });

  /** `changed` is called with this whenever there is something new to show. */
  constructor(file, changed) {
    Object.assign(this, { file, changed });
  }

  get busy() { return this.state === "waiting" || this.state === "working"; }

  /** To be translated, again where it was: what there is stays until there is something better. */
  queue(wish = null) {
    this.work.abort();
    Object.assign(this, { work: new AbortController(), state: "waiting", problem: "", said: WAITING, wish });
  }

  /** By the model of that name; by `plain` it is shown untouched where the browser cannot. Sets `state`, never throws. */
  async translate(model, plain) {
    const { signal } = this.work;
    this.state = "working";
    try {
      if (!this.before) await this.prepare(plain, signal);
      const query = { model, ...(this.native ? {} : PREVIEW), ...(this.wish !== null && { seed: this.wish }) };
      const result = await translate(this.file, query, signal, this.tell);
      await this.draw(result.blob).catch(() => {});
      signal.throwIfAborted();
      Object.assign(this, { result, model, state: "done" });
      if (result.seed !== null) this.seeds.add(result.seed);
      this.address("after", result.blob);
    } catch (caught) {
      if (signal.aborted) return; // whoever did that has set the state
      Object.assign(this, { state: this.result ? "done" : "failed", problem: caught.message });
    }
    this.changed(this);
  }

  tell = (text, part) => {
    this.said = { text, part };
    this.changed(this);
  };

  async prepare(plain, signal) {
    let seen = this.file;
    this.native = await this.draw(seen).then(() => true, () => false);
    if (!this.native) {
      seen = (await translate(this.file, { model: plain, ...PREVIEW, amount: 0 }, signal, this.tell)).blob;
      await this.draw(seen);
    }
    signal.throwIfAborted();
    this.address("before", seen);
    this.changed(this);
  }

  /** Small, in a canvas, so that a hundred photographs are not kept decoded. Throws where the browser cannot show the format. */
  async draw(blob) {
    const bitmap = await createImageBitmap(blob);
    const side = Math.min(bitmap.width, bitmap.height);
    const context = this.canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.clearRect(0, 0, THUMBNAIL, THUMBNAIL);
    context.drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, THUMBNAIL, THUMBNAIL);
    bitmap.close();
  }

  /** To be saved: in its own format with everything it carried, at the strength chosen. So the server makes it, not a canvas. */
  async made(signal, report) {
    if (this.percent === 100 && this.native) return this.result;
    const query = { model: this.model };
    if (this.percent < 100) query.amount = this.percent / 100;
    if (this.result.seed !== null) query.seed = this.result.seed;
    return translate(this.file, query, signal, report);
  }

  /** Without a result, as when it was new. */
  forget() {
    Object.assign(this, { result: null, seeds: new Set() });
    this.address("after", null);
  }

  /** Stops the work, and goes back to what there was. */
  stop() {
    this.work.abort();
    this.state = this.result ? "done" : "failed";
  }

  drop() {
    this.stop();
    this.forget();
    this.address("before", null);
  }

  address(which, blob) {
    if (this[which]) URL.revokeObjectURL(this[which]);
    this[which] = blob && URL.createObjectURL(blob);
  }
}
