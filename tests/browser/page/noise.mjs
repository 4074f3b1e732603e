/** Bytes that look random, in order: each call goes on where the one before ended. @param {number} seed */
export function noise(seed) {
  let state = seed >>> 0 || 1;
  return (count) => {
    const bytes = new Uint8Array(count);
    for (let at = 0; at < count; at += 1) {
      state = Math.imul(state, 1_664_525) + 1_013_904_223 >>> 0;
      bytes[at] = state >>> 24;
    }
    return bytes;
  };
}
