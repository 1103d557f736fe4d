// A second implementation of docs/reference/cell-format.md, written from that
// page with nothing but node:crypto, to check the first one by.
//
//   node cells.mjs CELLS.json KEYS.json
//
// looks at the known answers in both files: what is there must open, and be
// made again to the same bytes; what is refused there must be refused here. It
// says each difference on a line and ends with status 1 if there is any.
import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const hex = (s) => Buffer.from(s, 'hex');
const hmac = (key, data) => createHmac('sha256', key).update(data).digest();

// gcmSeal returns ciphertext and tag.
function gcmSeal(key, nonce, plain, aad) {
  const c = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 }).setAAD(aad);
  return Buffer.concat([c.update(plain), c.final(), c.getAuthTag()]);
}

// gcmOpen throws if ciphertext and tag do not authenticate.
function gcmOpen(key, nonce, sealed, aad) {
  const d = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 }).setAAD(aad);
  d.setAuthTag(sealed.subarray(-16));
  return Buffer.concat([d.update(sealed.subarray(0, -16)), d.final()]);
}

function refuse() {
  throw new Error('does not open');
}

// Keys.

export const digestOf = (dataKey) => hmac(dataKey, 'gatehouse data key digest v1').toString('hex');
export const checkValueOf = (dataKey) => hmac(dataKey, 'gatehouse data key check v1');
export const fingerprint = (dataKey, secret) => hmac(dataKey, secret).toString('hex');
export const kekOf = (file) => Buffer.from(file.trim(), 'base64');
export const kekID = (kek) => hmac(kek, 'gatehouse kek id v1').toString('hex').slice(0, 32);

const wrapContext = (installation, purpose, digest) =>
  Buffer.from(['gatehouse data key wrap v1', installation, purpose, digest].join('\0'));

export function wrap(kek, nonce, dataKey, installation, purpose) {
  return Buffer.concat([nonce, gcmSeal(kek, nonce, dataKey, wrapContext(installation, purpose, digestOf(dataKey)))]);
}

// unwrap takes a row of dbcrypt_keys.
export function unwrap(kek, installation, row) {
  const wrapped = hex(row.wrapped_key);
  if (row.kek_id !== kekID(kek) || wrapped.length !== 60) refuse();
  const dataKey = gcmOpen(kek, wrapped.subarray(0, 12), wrapped.subarray(12), wrapContext(installation, row.purpose, row.digest));
  const check = hex(row.check_value);
  if (digestOf(dataKey) !== row.digest || check.length !== 32 || !timingSafeEqual(check, checkValueOf(dataKey))) refuse();
  return dataKey;
}

// Cells.

const headerSize = 1 + 16 + 32;

const cellKey = (dataKey, salt) => Buffer.from(hkdfSync('sha256', dataKey, salt, 'gatehouse cell v1', 32));

// Filled is how many bytes a secret of n bytes takes before encryption.
const filled = (n) => Math.ceil((4 + n) / 64) * 64;

function uint32(n) {
  const b = Buffer.alloc(4);
  b.writeUInt32BE(n);
  return b;
}

function associated(header, place, digest) {
  const parts = [place.installation, place.table, place.column, place.row, place.revision, digest, place.provider, place.origin];
  if (place.public !== undefined) parts.push(createHash('sha256').update(place.public).digest('hex'));
  return Buffer.concat([header, ...parts.flatMap((p) => [uint32(Buffer.byteLength(p)), Buffer.from(p)])]);
}

// sealBytes seals what is filled up already.
export function sealBytes(dataKey, digest, place, salt, nonce, plain) {
  const header = Buffer.concat([Buffer.from([1]), hex(digest).subarray(0, 16), salt]);
  return Buffer.concat([header, nonce, gcmSeal(cellKey(dataKey, salt), nonce, plain, associated(header, place, digest))]);
}

export function seal(dataKey, digest, place, salt, nonce, secret) {
  const plain = Buffer.alloc(filled(secret.length));
  plain.writeUInt32BE(secret.length);
  secret.copy(plain, 4);
  return sealBytes(dataKey, digest, place, salt, nonce, plain);
}

export function open(dataKey, digest, place, cell) {
  const header = cell.subarray(0, headerSize);
  if (cell.length < 141 || cell[0] !== 1 || !header.subarray(1, 17).equals(hex(digest).subarray(0, 16))) refuse();
  const nonce = cell.subarray(headerSize, headerSize + 12);
  const plain = gcmOpen(cellKey(dataKey, header.subarray(17)), nonce, cell.subarray(headerSize + 12), associated(header, place, digest));
  const n = plain.readUInt32BE();
  if (filled(n) !== plain.length) refuse();
  return plain.subarray(4, 4 + n);
}

// What is checked.

const differences = [];
const counts = {};

function check(what, name, fn) {
  counts[what] = (counts[what] ?? 0) + 1;
  try {
    if (fn()) return;
    differences.push(`${what} ${name}: differs`);
  } catch (e) {
    differences.push(`${what} ${name}: ${e.message}`);
  }
}

function refused(what, name, fn) {
  check(what, name, () => {
    try {
      fn();
    } catch {
      return true;
    }
    return false;
  });
}

function checkCells(file) {
  for (const v of file.cells) {
    const dataKey = hex(v.data_key), secret = Buffer.from(v.plaintext);
    check('digest of', v.name, () => digestOf(dataKey) === v.digest);
    check('open', v.name, () => open(dataKey, v.digest, v.place, hex(v.cell)).equals(secret));
    check('seal', v.name, () => seal(dataKey, v.digest, v.place, hex(v.salt), hex(v.nonce), secret).toString('hex') === v.cell);
  }
  for (const v of file.refused) {
    refused('refuse', v.name, () => open(hex(v.data_key), v.digest, v.place, hex(v.cell)));
  }
}

function checkKeys(file) {
  for (const ring of file.rings) {
    const kek = kekOf(ring.kek_file);
    check('id of', ring.name, () => kekID(kek) === ring.kek_id);
    for (const row of ring.keys) {
      const dataKey = hex(row.data_key), name = `${row.purpose} of ${ring.name}`;
      check('unwrap', name, () => unwrap(kek, ring.installation, row).equals(dataKey));
      check('wrap', name, () => wrap(kek, hex(row.nonce), dataKey, ring.installation, row.purpose).toString('hex') === row.wrapped_key);
      check('digest of', name, () => digestOf(dataKey) === row.digest && checkValueOf(dataKey).toString('hex') === row.check_value);
    }
  }
  const kek = kekOf(file.rings[0].kek_file);
  for (const row of file.refused) refused('refuse', row.name, () => unwrap(kek, file.rings[0].installation, row));
  for (const v of file.fingerprints) check('fingerprint', v.name, () => fingerprint(hex(v.data_key), v.secret) === v.fingerprint);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [cells, keys] = process.argv.slice(2).map((name) => JSON.parse(readFileSync(name, 'utf8')));
  checkCells(cells);
  checkKeys(keys);
  for (const d of differences) console.log(d);
  console.log(Object.entries(counts).map(([what, n]) => `${what} ${n}`).join(', '));
  process.exitCode = differences.length ? 1 : 0;
}
