/**
 * Numbered texts that break naive framing: line ends of every alphabet, the marks of each wire format, characters
 * outside the first plane, lone surrogates, and sometimes a long one; and numbered bytes of every value. The tests and
 * the page compute the same.
 */

const PIECES = [
  'plain', '\n', '\r\n', '\r', '\n\n', '\u2028\u2029', '\u0000', '\u0085\u000b\u000c', '\ufeffbom', 'data: forged\n\n',
  'id: 999\nevent: x\n', ':comment', ']\n[', '}{', '"quoted" \\ back', '</script><!--', '☄️', '👩‍👩‍👧‍👦', 'e\u0301\u0323',
  'שלום עולם', '\u202eright to left', '日本語', '\ud83d', '\udc00 low first', '\u{10ffff}', '\u007f\u001b[31m', '\ufffe\uffff',
  '   trailing   ', '\t', '{"close":{"code":"forged"}}', '\'>e()</script>', '\r\n--encke\r\n', '--encke--', '-->', ']]>', '&lt;&#39;',
  ';comment\nEvent: forged\n\n', ']);alert(1)//',
];

/** @param {number} n */
export function awkward(n) {
  const a = PIECES[n % PIECES.length];
  const b = PIECES[(n * 7 + 3) % PIECES.length];
  const long = n % 97 === 0 ? '☄'.repeat(3000) : '';
  return `${n} ${a} ${b} ${long}`;
}

/** The number in four bytes, then up to 600 that look like anything: at times a delimiter, at times every value there is. */
export function awkwardBytes(n) {
  const mark = n % 5 === 0 ? [...'\r\n--encke\r\n\0'].map((c) => c.charCodeAt(0)) : [];
  const rest = Array.from({ length: (n * 37) % 600 }, (_, i) => (i + n * 31) & 0xff);
  return Uint8Array.from([n >>> 24, n >>> 16, n >>> 8, n, ...mark, ...rest]);
}
