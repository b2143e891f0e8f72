#!/usr/bin/env node
/**
 * Writes code.pairs.yaml: windows of made-up C and Python, each cut where a block is opened. Seeded; no
 * line is taken from anybody's program.
 *
 *   node scripts/examples/codePairs.mjs > examples/observables/code.pairs.yaml
 */
import { stringify } from 'yaml';

const WINDOWS = 240;
/** Lines that a Python window may begin with: C needs more tokens for the same, and rows pair windows of one length. */
const IMPORTS = [
  'import sys',
  'import os, sys',
  'from math import sqrt',
  'import json\nimport math',
  'from typing import List',
];

function seeded(seed) {
  let state = seed >>> 0;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(((state >>> 8) / 2 ** 24) * n);
  };
}

const VERBS = ['count', 'find', 'sum', 'check', 'scale', 'merge', 'update', 'read', 'clean', 'split'];
const NOUNS = ['items', 'rows', 'values', 'prices', 'scores', 'words', 'nodes', 'points', 'users', 'files'];
const NAMES = ['total', 'limit', 'size', 'first', 'last', 'result', 'step', 'weight', 'offset', 'best'];

/** One function with the same meaning in both languages: lines of C, lines of Python. */
function program(below) {
  const one = (list) => list[below(list.length)];
  const [a, b, c] = [...NAMES].sort(() => below(3) - 1);
  const name = `${one(VERBS)}_${one(NOUNS)}`;
  const k = 2 + below(90);
  const op = one(['+', '-', '*']);
  const bodies = [
    {
      c: [
        `    int ${a} = ${k};`,
        `    for (int i = 0; i < n; i++) {`,
        `        ${a} += i ${op} ${b};`,
        '    }',
        `    return ${a};`,
      ],
      python: [`    ${a} = ${k}`, '    for i in range(n):', `        ${a} += i ${op} ${b}`, `    return ${a}`],
    },
    {
      c: [`    if (n > ${k}) {`, `        return n ${op} ${b};`, '    }', `    int ${c} = n;`, `    return ${c};`],
      python: [`    if n > ${k}:`, `        return n ${op} ${b}`, `    ${c} = n`, `    return ${c}`],
    },
    {
      c: [
        `    int ${a} = n;`,
        `    while (${a} > ${b}) {`,
        `        ${a} = ${a} - ${k};`,
        `        printf("%d\\n", ${a});`,
        '    }',
        `    return ${a};`,
      ],
      python: [
        `    ${a} = n`,
        `    while ${a} > ${b}:`,
        `        ${a} = ${a} - ${k}`,
        `        print(${a})`,
        `    return ${a}`,
      ],
    },
  ];
  const body = one(bodies);
  return {
    c: [`int ${name}(int n, int ${b}) {`, ...body.c, '}'],
    python: [...(below(4) > 0 ? [one(IMPORTS), ''] : []), `def ${name}(n, ${b}):`, ...body.python],
  };
}

/** Cut before one of the marks that open a block: ` {` in C, `:` in Python. */
function windowOf(lines, below) {
  const ends = lines.flatMap((line, i) => (/( \{|:)$/.test(line) ? [i] : []));
  const end = ends[below(ends.length)];
  return [...lines.slice(0, end), lines[end].replace(/( \{|:)$/, '')].join('\n');
}

const below = seeded(7);
const windows = { c: new Set(), python: new Set() };
while (windows.c.size < WINDOWS || windows.python.size < WINDOWS) {
  const written = program(below);
  for (const language of ['c', 'python']) {
    const cut = windowOf(written[language], below);
    if (windows[language].size < WINDOWS) windows[language].add(cut);
  }
}
const file = {
  name: 'C or Python',
  role: 'code',
  templates: ['{}'],
  fill: { c: [...windows.c], python: [...windows.python] },
  answers: { c: ' {', python: ':' },
};
process.stdout.write(`# Made by scripts/examples/codePairs.mjs\n${stringify(file, { lineWidth: 0 })}`);
