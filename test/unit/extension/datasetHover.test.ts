import { describe, expect, it } from 'vitest';
import { rowCard } from '../../../src/extension/dataset/rowCard.ts';
import { acronymText, ioiText, readBook } from '../../support/datasetFixture.ts';

const summary = { model: 'small-world', seed: 1, corruptedRows: 8 };

describe('the card of a dataset row', () => {
  it('has a line for each token, with roles and answers, and one for each corruption', async () => {
    const book = await readBook(await ioiText(8), 'small-world');
    const [row] = book.rows({ by: 'index', from: 0, count: 1 });
    const lines = rowCard(row, summary).split('\n');
    expect(lines[0]).toBe('**Row 1** · 14 tokens of small-world');
    const io = row.roles.IO[0];
    const code = (text: string) => `<code>${text.replace(' ', '␣')}</code>`;
    expect(lines[4 + io]).toBe(`| ${io + 1} | ${code(row.tokens[io].text)} | ${row.tokens[io].id} | IO |  |`);
    const [answer] = row.answers;
    expect(lines[4 + 13]).toBe(
      `| 14 | <code>␣to</code> | ${row.tokens[13].id} | END | → ${code(answer.answer)} against ${code(answer.foils[0])} |`,
    );
    const flipped = lines.find((line) => line.startsWith('| corrupted |'));
    expect(flipped).toBe(`| corrupted | S2 ${code(answer.answer)} |`);
    expect(lines.at(-1)).toContain('with seed 1, among the first 8 rows');
  });

  it('counts many foils, names answers, and says what changes nothing', async () => {
    const book = await readBook(await acronymText(12), 'acronyms');
    const [row] = book.rows({ by: 'index', from: 0, count: 1 });
    const card = rowCard(row, { ...summary, model: 'acronyms' });
    expect(card).toMatch(/L1 → <code>.<\/code> against 25 foils/);
    expect(card).toContain('| prev:L1 | nothing |');
    expect(card).toMatch(/\| cur:L2 \| C2 <code>␣.<\/code>, T2 <code>\w+<\/code> \|/);
  });

  it('of a refused row begins with the reason, whatever is in it', async () => {
    const text = `{"dataset":{}}\n{"id":"<b>|*","clean":"Mary","roles":{"S":7},"answers":[{"token":" John"}]}\n`;
    const [row] = (await readBook(text, 'small-world')).rows({ by: 'index', from: 0, count: 1 });
    const lines = rowCard(row, summary).split('\n');
    expect(lines[0]).toBe('**Row &#60;b&#62;&#124;&#42;** · refused · 1 tokens of small-world');
    expect(lines[2]).toMatch(/^- There is no position 7/);
    expect(lines.some((line) => line.startsWith('| corruption'))).toBe(false);
  });
});
