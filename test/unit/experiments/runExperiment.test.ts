import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { importCells } from '../../../src/core/experiments/cellStore.ts';
import type { StepProgress } from '../../../src/shared/experimentRun.ts';
import type { Progress } from '../../../src/shared/progress.ts';
import { ResultsPlace, task } from './experimentRuns.ts';
import { fileText, type ToyLog, toyKind } from './toyKinds.ts';

let log: ToyLog;
let place: ResultsPlace;
const all = ['c0', 'c1', 'c2', 'c3', 'c4', 'c5'];

beforeEach(() => {
  log = { ran: [], before: () => undefined };
  place = new ResultsPlace([toyKind(log)]);
});
afterEach(() => place.remove());

/** What `text` gives in one go, in a place of its own. */
async function whole(text: string) {
  const other = new ResultsPlace([toyKind({ ran: [], before: () => undefined })]);
  try {
    await other.run(text);
    return other.figures();
  } finally {
    other.remove();
  }
}

function abortAt(id: string): AbortSignal {
  const controller = new AbortController();
  log.before = (now) => {
    if (now === id) controller.abort();
  };
  return controller.signal;
}

describe('a run of an experiment', () => {
  it('runs every cell once, in order, and writes figures that say what was asked', async () => {
    const outcome = await place.run(fileText('seed: 3\n'));
    expect(log.ran).toEqual(all);
    expect(outcome.steps).toMatchObject([{ step: 'toy', state: 'complete', cells: { done: 6, total: 6 }, reused: 0 }]);
    const figures = place.figures();
    expect(figures).toMatchObject({
      ...{ schemaVersion: 1, kind: 'figures', analysis: 'toy', complete: true, checks: [] },
      request: { run: 'toy', model: 'm', data: { file: 'd.jsonl' }, seed: 3, dataHash: task.hash, rows: 0 },
      provenance: { modelHash: 'a'.repeat(64), ablation: 'none', mechanistVersion: 'test' },
    });
    expect(figures.request.with).toMatchObject({ cells: 6, scale: 1 });
    const sum = all.reduce((total, _, i) => total + Math.sin(3 + i), 0);
    expect(figures.values.sum).toBeCloseTo(sum, 14);
    expect(readFileSync(join(place.results(), 'parts/.gitignore'), 'utf8')).toBe('*\n');
  });

  it('keeps what is done on cancel, goes on there, and gives the same as a whole run', async () => {
    const signal = abortAt('c3');
    await expect(place.run(fileText(), {}, { signal })).rejects.toMatchObject({ code: 'cancelled' });
    expect(log.ran).toEqual(['c0', 'c1', 'c2']);
    expect(place.figures()).toMatchObject({ complete: false, cells: { done: 3, total: 6 } });
    log.ran.length = 0;
    const outcome = await place.run(fileText());
    expect(log.ran).toEqual(['c3', 'c4', 'c5']);
    expect(outcome.steps[0].reused).toBe(3);
    expect(place.figures()).toEqual(await whole(fileText()));
  });

  it('loses no finished cell to a kill: a torn last line is no cell, and the next one stands alone', async () => {
    await place.run(fileText());
    const parts = join(place.results(), 'parts/toy.jsonl');
    const lines = readFileSync(parts, 'utf8').split('\n');
    writeFileSync(parts, `${lines.slice(0, 2).join('\n')}\n${lines[2].slice(0, 30)}`);
    log.ran.length = 0;
    await place.run(fileText());
    expect(log.ran).toEqual(['c2', 'c3', 'c4', 'c5']);
    log.ran.length = 0;
    await place.run(fileText());
    expect(log.ran).toEqual([]);
    appendFileSync(parts, 'null\n{"key":1}\n\u0000\n');
    expect((await place.run(fileText())).steps[0].reused).toBe(6);
    expect(place.figures()).toEqual(await whole(fileText()));
  });

  it('runs again only what an edit changes, and remembers what was there before', async () => {
    const changed = fileText().replace('cells: 6', 'cells: 6, scale: 2');
    const ranBy = async (...args: Parameters<ResultsPlace['run']>) => {
      log.ran.length = 0;
      await place.run(...args);
      return log.ran.length;
    };
    expect(await ranBy(fileText())).toBe(6);
    expect(await ranBy(fileText('expect:\n  - toy sum: 1\n'))).toBe(0);
    expect(await ranBy(changed)).toBe(6);
    expect(await ranBy(fileText('seed: 1\n'))).toBe(6);
    expect(await ranBy(fileText())).toBe(0);
    expect(await ranBy(fileText(), {}, { task: { ...task, hash: 'e' } })).toBe(6);
    expect(await ranBy(fileText(), { kinds: [toyKind(log, 2)] })).toBe(6);
    expect(await ranBy(fileText(), { fresh: true })).toBe(6);
    expect(await ranBy(fileText().replace('cells: 6', 'cells: 8'))).toBe(8);
    expect(place.figures().cells).toEqual({ done: 8, total: 8 });
  });

  it('gives the same in shares: merged from several folders, or filled into one', async () => {
    for (const index of [1, 2, 3]) {
      const share = { index, of: 3 };
      const outcome = await place.run(fileText(), { share, results: place.results(`part${index}`) });
      expect(outcome.steps[0].state).toBe('partial');
      await place.run(fileText(), { share, results: place.results('common') });
    }
    expect([...log.ran].sort()).toEqual([...all, ...all].sort());
    const parts = [1, 2, 3].map((index) => place.results(`part${index}`));
    expect(await importCells(place.results(), ['toy'], parts.slice(0, 2))).toBeGreaterThan(0);
    expect((await place.run(fileText(), { mergeOnly: true })).steps[0].state).toBe('partial');
    await importCells(place.results(), ['toy'], parts);
    expect(await importCells(place.results(), ['toy'], parts)).toBe(0);
    log.ran.length = 0;
    const outcome = await place.run(fileText(), { mergeOnly: true });
    expect([outcome.steps[0].state, log.ran]).toEqual(['complete', []]);
    const expected = await whole(fileText());
    expect(place.figures()).toEqual(expected);
    expect(place.figures('toy', place.results('common'))).toEqual(expected);
    await expect(importCells(place.results(), ['toy'], [place.folder])).rejects.toMatchObject({ code: 'bad-input' });
    await expect(importCells(place.results(), ['toy'], [join(place.folder, 'no')])).rejects.toThrow(/does not exist/);
  });

  it('checks what is expected once a step is complete, for the model that it is expected of', async () => {
    const sum = all.reduce((total, _, i) => total + Math.sin(i), 0);
    const text = fileText(`expect:
  - toy sum: ${sum.toFixed(3)} ± 0.01 (own run)
  - toy sum: 100 … 200
  - toy none: 1
  - { step: toy, value: sum, low: 9, model: gpt2 }
  - { step: toy, value: sum, low: 9, note: "noise" }
`);
    await expect(place.run(text, {}, { signal: abortAt('c3') })).rejects.toThrow();
    expect(place.figures().checks).toEqual([]);
    const [{ checks }] = (await place.run(text)).steps;
    expect(checks.map(({ passed, note, source }) => [passed, note, source])).toEqual([
      [true, undefined, 'own run'],
      [false, undefined, ''],
      [false, undefined, 'the step has no such value'],
      [false, 'expected of gpt2, this is m', ''],
      [false, 'noise', ''],
    ]);
    expect(checks[0].value).toBeCloseTo(sum, 12);
  });

  it('says how many rows were left out, and why the first', async () => {
    const code = 'token-splits' as const;
    const problem = { line: 3, column: 4, length: 1, severity: 'error' as const, code, message: 'It splits.' };
    const { steps } = await place.run(fileText(), {}, { task: { ...task, refused: 2, problems: [problem] } });
    expect(steps[0].warnings).toEqual(['2 of 2 rows are left out. The first: line 4:5: It splits.']);
  });

  it('ends a step that cannot be run alone, and runs the others', async () => {
    const text = 'model: m\ndata: d\nsteps:\n  - { name: a, run: toy, with: { cells: 101 } }\n  - toy\n';
    const { steps } = await place.run(text);
    expect(steps).toMatchObject([
      { step: 'a', state: 'failed', message: 'd has no 101 cells.' },
      { step: 'toy', state: 'complete' },
    ]);
    await expect(place.run(text, { steps: ['b'] })).rejects.toThrow('There is no step "b". Steps: a, toy.');
    log.ran.length = 0;
    expect((await place.run(text, { steps: ['toy'] })).steps).toHaveLength(1);
  });

  it('reports progress that is constant in total, monotone and ends at the total', async () => {
    const seen: Progress[] = [];
    const steps: StepProgress[] = [];
    const onProgress = (progress: Progress) => seen.push(progress);
    const onStepProgress = (progress: StepProgress) => steps.push(progress);
    const text = 'model: m\ndata: d\nsteps:\n  - { name: a, run: toy, with: { cells: 2 } }\n  - toy\n';
    await place.run(text, { onStepProgress }, { onProgress });
    expect(new Set(seen.map(({ total }) => total)).size).toBe(1);
    for (const [i, { done }] of seen.entries()) expect(done).toBeGreaterThanOrEqual(seen[i - 1]?.done ?? 0);
    expect(seen.at(-1)?.done).toBeCloseTo(seen.at(-1)?.total ?? 0, 9);
    expect(steps.filter(({ step }) => step === 'a').at(-1)?.cells).toEqual({ done: 2, total: 2 });
    // Half of the second cell of a, of 1 + 2 passes, before the 21 of toy.
    expect(seen.some(({ done, total }) => Math.abs(done / total - 2 / 24) < 0.01)).toBe(true);
  });

  it('gives way between cells, and keeps them when it is ended there', async () => {
    let turns = 0;
    const giveWay = async () => {
      turns += 1;
      if (turns === 3) throw new Error('closed');
    };
    await expect(place.run(fileText(), {}, { giveWay })).rejects.toThrow('closed');
    expect(log.ran).toEqual(['c0', 'c1']);
    await place.run(fileText());
    expect(log.ran).toEqual(all);
  });
});

describe('circuits between steps', () => {
  const text = 'model: m\ndata: d\nsteps:\n  - toy\n  - { name: use, run: toy, with: { circuit: toy, cells: 2 } }\n';

  it('are those an earlier step found, and part of what the numbers depend on', async () => {
    await place.run(text);
    expect(place.figures('use').values.sum).toBeCloseTo(Math.sin(0) + Math.sin(1) + 12, 12);
    expect(place.figures('use').request.circuits).toEqual({ toy: 'toy' });
    log.ran.length = 0;
    await place.run(text.replace('- toy\n', '- { run: toy, with: { cells: 5 } }\n'));
    expect(log.ran).toHaveLength(5 + 2);
    expect(place.figures('use').values.sum).toBeCloseTo(Math.sin(0) + Math.sin(1) + 10, 12);
  });

  it('are written beside the figures, and an edited file is left alone', async () => {
    await place.run(text);
    const file = join(place.results(), 'toy.circuit.json');
    const circuit = JSON.parse(readFileSync(file, 'utf8'));
    expect(circuit.nodes).toHaveLength(6);
    writeFileSync(file, JSON.stringify({ ...circuit, notes: 'mine' }, null, 2));
    await place.run(text);
    expect(readFileSync(file, 'utf8')).toContain('mine');
    await place.run(text.replace('- toy\n', '- { run: toy, with: { cells: 5 } }\n'));
    expect(readFileSync(file, 'utf8')).not.toContain('mine');
  });

  it('are waited for: a step that uses one says what has to be done first', async () => {
    const share = { index: 1, of: 2 };
    const { steps } = await place.run(text, { share });
    expect(steps.map(({ state }) => state)).toEqual(['partial', 'waiting']);
    expect(steps[1].message).toMatch(/circuit of the step toy is not there yet: \d of 6 cells.*merge its parts/);
    expect((await place.run(text, { steps: ['use'] })).steps[0].state).toBe('waiting');
    const other = await place.run(text, { share: { index: 2, of: 2 } });
    expect(other.steps.map(({ state }) => state)).toEqual(['complete', 'partial']);
    expect((await place.run(text, { share })).steps.map(({ state }) => state)).toEqual(['complete', 'complete']);
  });

  it('come from files too; one that is missing or made with other weights is told', async () => {
    const own = text.replace('circuit: toy,', 'circuit: mine.circuit.json,');
    const missing = await place.run(own);
    expect(missing.steps[1]).toMatchObject({
      state: 'failed',
      message: expect.stringContaining('mine.circuit.json cannot be read'),
    });
    const file = join(place.folder, 'mine.circuit.json');
    writeFileSync(file, '{ "kind": "grid", }');
    expect((await place.run(own)).steps[1].message).toMatch(/cannot be used: There is a comma after the last entry/);
    const circuit = JSON.parse(readFileSync(join(place.results(), 'toy.circuit.json'), 'utf8'));
    const other = { ...circuit, nodes: circuit.nodes.slice(0, 3), model: { ref: 'gpt2', hash: 'f'.repeat(64) } };
    writeFileSync(file, JSON.stringify(other));
    const { steps } = await place.run(own);
    expect(steps[1].values.sum).toBeCloseTo(Math.sin(1) + 6, 12);
    expect(steps[1].warnings[0]).toMatch(/made with other weights than those of M/);
    const wrong = await place.run(text.replace('circuit: toy,', 'circuit: tyo,'));
    expect(wrong.steps[1].message).toMatch(/no circuit "tyo".*earlier step/);
    expect(existsSync(join(place.results(), 'use.circuit.json'))).toBe(true);
  });
});

describe('parts of a step', () => {
  it('are not mixed up with those of a step whose name begins the same', async () => {
    const text =
      'model: m\ndata: d\nsteps:\n  - { name: a, run: toy }\n  - { name: a.b, run: toy, with: { scale: 3 } }\n';
    await place.run(text);
    expect(readdirSync(join(place.results(), 'parts')).sort()).toEqual(['.gitignore', 'a.b.jsonl', 'a.jsonl']);
    await place.run(text, { fresh: true, steps: ['a'] });
    log.ran.length = 0;
    await place.run(text);
    expect(log.ran).toEqual([]);
  });

  it('may be a results folder, its parts folder, or one file', async () => {
    for (const index of [1, 2])
      await place.run(fileText(), { share: { index, of: 2 }, results: place.results(`r${index}`) });
    mkdirSync(place.results());
    const named = [join(place.results('r1'), 'parts'), join(place.results('r2'), 'parts/toy.2of2.jsonl')];
    expect(await importCells(place.results(), ['toy'], named)).toBe(6);
  });
});
