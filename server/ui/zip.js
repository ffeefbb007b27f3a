// A ZIP archive of pictures: stored as they are, since they are compressed already (APPNOTE.TXT 4.3).

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
  return byte;
});
const LIMIT = 2 ** 32 - 1;

async function crc32(blob) {
  let crc = ~0;
  const reader = blob.stream().getReader(); // piece by piece, so that large pictures are never all in memory
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    for (const byte of value) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

/** Little-endian numbers as [bytes, value], one after the other. */
function packed(...fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [bytes]) => sum + bytes, 0)));
  let at = 0;
  for (const [bytes, value] of fields) {
    bytes === 2 ? view.setUint16(at, value, true) : view.setUint32(at, value, true);
    at += bytes;
  }
  return view.buffer;
}

/** `name`, or with a number before its suffix where it is among `taken`, as some file systems see it: a letter's case does not count. */
function unique(name, taken) {
  const [, stem, suffix] = /^(.*?)(\.[^.]*)?$/s.exec(name);
  let made = name;
  for (let number = 2; taken.has(made.toLowerCase()); number++) made = `${stem} (${number})${suffix ?? ""}`;
  taken.add(made.toLowerCase());
  return made;
}

/** The archive of `files`, each { name, blob }, as a Blob. Throws where it would be larger than the plain form can hold (4 GB). */
export async function zip(files) {
  const parts = [], directory = [], taken = new Set();
  const now = new Date();
  const time = (now.getHours() << 11) | (now.getMinutes() << 5) | (now.getSeconds() >> 1);
  const date = ((now.getFullYear() - 1980) << 9) | ((now.getMonth() + 1) << 5) | now.getDate();
  let at = 0, listed = 0;
  for (const { name, blob } of files) {
    const path = new TextEncoder().encode(unique(name, taken));
    // version 2.0, name in UTF-8 (bit 11), stored
    const head = [[2, 20], [2, 0x800], [2, 0], [2, time], [2, date], [4, await crc32(blob)], [4, blob.size], [4, blob.size], [2, path.length], [2, 0]];
    parts.push(packed([4, 0x04034b50], ...head), path, blob);
    directory.push(packed([4, 0x02014b50], [2, 20], ...head, [2, 0], [2, 0], [2, 0], [4, 0], [4, at]), path);
    at += 30 + path.length + blob.size;
    listed += 46 + path.length;
    if (at + listed > LIMIT || taken.size > 65535) throw new Error("This is too much for one zip file. Download the pictures one by one.");
  }
  const end = packed([4, 0x06054b50], [2, 0], [2, 0], [2, taken.size], [2, taken.size], [4, listed], [4, at], [2, 0]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}
