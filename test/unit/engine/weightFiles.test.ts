import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import { WeightFiles } from '../../../src/core/engine/weightFiles.ts';
import { oracleMeanEmbedding, oracleRun } from '../../support/oracle.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';

const folder = mkdtempSync(join(tmpdir(), 'mechanist-weights-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('weight files', () => {
  const file = join(folder, 'table.bin');
  const table = Float32Array.from({ length: 3000 * 700 }, (_, i) => i);
  writeFileSync(file, Buffer.concat([Buffer.alloc(6), Buffer.from(table.buffer)]));
  const location = { file, offset: 6, byteLength: table.byteLength, shape: [3000, 700] };

  it('reads rows in any order, repeated or neighbours', async () => {
    const files = new WeightFiles();
    const rows = [5, 2999, 4, 5, 0, 6];
    const values = await files.rows(location, rows);
    expect(rows.map((_, i) => values[i * 700 + 3])).toEqual(rows.map((row) => row * 700 + 3));
    expect(await files.rows(location, [])).toHaveLength(0);
    await expect(files.rows(location, [3000])).rejects.toMatchObject({ code: 'bad-input' });
    await expect(files.rows(location, [-1])).rejects.toMatchObject({ code: 'bad-input' });
    await files.close();
  });

  it('streams every row once and reuses a buffer that is large enough', async () => {
    const files = new WeightFiles();
    const firsts: number[] = [];
    await files.stream(location, (chunk, firstRow, rows) => {
      for (let row = 0; row < rows; row += 1) {
        firsts.push(firstRow + row);
        expect(chunk[row * 700]).toBe((firstRow + row) * 700);
      }
    });
    expect(firsts).toEqual(Array.from({ length: 3000 }, (_, i) => i));
    const buffer = new Float32Array(table.length + 5);
    const whole = await files.tensor(location, buffer);
    expect(whole.buffer).toBe(buffer.buffer);
    expect(whole).toEqual(table);
    await files.close();
  });
});

describe('a model in a folder of links, as in the Hugging Face cache', () => {
  it('runs, and knows its mean embedding', async () => {
    const { model, remove } = randomModel(SHAPES.gpt2);
    const { file } = model.weights.embed;
    const blobs = join(dirname(file), 'blobs');
    mkdirSync(blobs);
    renameSync(file, join(blobs, 'abc123'));
    symlinkSync(join('blobs', 'abc123'), join(dirname(file), basename(file)));
    const runner = await ModelRunner.open(model, { threads: 1 });
    const logits = await runner.logits([[1, 2, 3]]);
    const expected = oracleRun(model.config, model.weights, [1, 2, 3]).logits[2];
    expect(expected.every((logit, id) => Math.abs(logit - logits.data[id]) < 1e-4)).toBe(true);
    const mean = await runner.meanEmbedding();
    expect(oracleMeanEmbedding(model.weights).every((value, i) => Math.abs(value - mean[i]) < 1e-6)).toBe(true);
    await runner.close();
    remove();
  });
});
