'use strict';

const test = require('node:test');
const assert = require('node:assert');
const { compare, newest } = require('../versions.js');

test('a missing part is zero', () => {
  assert.strictEqual(compare('1.2', '1.2.0'), 0);
});

test('the newest is found', () => {
  assert.strictEqual(newest(['1.2.0', '2.0.0', '1.3.0']), '2.0.0');
});
