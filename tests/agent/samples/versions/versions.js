'use strict';

/** Compare two versions such as 1.2.3: negative, zero or positive, as Array.sort wants it. */
function compare(a, b) {
  const left = a.split('.');
  const right = b.split('.');
  for (let at = 0; at < Math.max(left.length, right.length); at += 1) {
    const one = left[at] || '0';
    const other = right[at] || '0';
    if (one !== other) return one < other ? -1 : 1;
  }
  return 0;
}

/** Return the newest of some versions. */
function newest(versions) {
  return [...versions].sort(compare).pop();
}

module.exports = { compare, newest };
