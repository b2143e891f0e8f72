import { describe, expect, it } from 'vitest';
import { parsePromptFile, promptIndexAt } from '../../../src/core/tasks/promptFile.ts';

const pronouns = `---
model: smollm2-135m
observable: { " she": 1, " he": -1 }   # logits, last position
position: last
method: direct
---
The farmer said that
---
The doctor said that
`;

/** The problems as `code: underlined text`. */
function underlined(source: string): string[] {
  return parsePromptFile(source).problems.map((p) => `${p.code}: ${source.slice(p.start, p.end)}`);
}

function withFrontMatter(yaml: string): string {
  return `---\n${yaml}\n---\nThe nurse said that\n`;
}

describe('parsePromptFile', () => {
  it('reads front matter and prompts', () => {
    const file = parsePromptFile(pronouns);
    expect(file.problems).toEqual([]);
    expect(file.frontMatter?.model?.value).toBe('smollm2-135m');
    expect(file.frontMatter?.observable?.value).toEqual({ ' she': 1, ' he': -1 });
    expect(file.frontMatter?.position).toBeUndefined();
    expect(file.frontMatter?.method?.value).toBe('direct');
    expect(file.prompts.map((p) => p.text)).toEqual(['The farmer said that', 'The doctor said that']);
    expect(file.prompts.map((p) => p.line)).toEqual([6, 8]);
    for (const prompt of file.prompts) expect(pronouns.slice(prompt.start, prompt.end)).toBe(prompt.text);
    const words = file.frontMatter?.observable?.words.map((w) => pronouns.slice(w.start, w.end));
    expect(words).toEqual(['" she"', '" he"']);
  });

  it('takes a file without front matter as prompts', () => {
    const file = parsePromptFile('\n\n  two spaces stay \n\n---\nsecond');
    expect(file.frontMatter).toBeNull();
    expect(file.prompts.map((p) => p.text)).toEqual(['  two spaces stay ', 'second']);
    expect(file.prompts.map((p) => p.line)).toEqual([2, 5]);
  });

  it('maps offsets through CRLF in both directions', () => {
    const source = '---\r\nmodel: m\r\n---\r\nfirst line\r\nsecond\r\n\r\nfourth\r\n---\r\nlast\r\n';
    const file = parsePromptFile(source);
    expect(file.problems).toEqual([]);
    expect(file.frontMatter?.model?.value).toBe('m');
    const prompt = file.prompts[0];
    expect(prompt?.text).toBe('first line\nsecond\n\nfourth');
    for (const word of ['first', 'second', 'fourth']) {
      const inText = prompt?.text.indexOf(word) ?? -1;
      expect(prompt?.toOffset(inText)).toBe(source.indexOf(word));
      expect(prompt?.fromOffset(source.indexOf(word))).toBe(inText);
    }
    expect(prompt?.toOffset(prompt.text.length)).toBe(prompt?.end);
    expect(file.prompts[1]?.line).toBe(8);
  });

  it('reads positions as 1-based, −1 as last', () => {
    const at = (p: string) => parsePromptFile(withFrontMatter(`position: ${p}`)).frontMatter?.position?.value;
    expect(at('7')).toBe(6);
    expect(at('-1')).toBe(-1);
    expect(at('last')).toBeUndefined();
    expect(underlined(withFrontMatter('position: 0'))).toEqual(['position-zero: 0']);
    expect(underlined(withFrontMatter('position: 1.5'))).toEqual(['wrong-type: 1.5']);
    expect(underlined(withFrontMatter('position: first'))).toEqual(['wrong-type: first']);
  });

  it('takes a single token as an observable of weight 1', () => {
    const file = parsePromptFile(withFrontMatter('observable: " she"'));
    expect(file.frontMatter?.observable?.value).toEqual({ ' she': 1 });
  });

  it('reads node, norm and view of observable propagation', () => {
    const source = withFrontMatter("node: 'L9.H6@4 <= MLP 3'\nnorm: scaled\nview: contribution");
    const { frontMatter, problems } = parsePromptFile(source);
    expect(problems).toEqual([]);
    expect([frontMatter?.norm?.value, frontMatter?.view?.value]).toEqual(['scaled', 'contribution']);
    const node = frontMatter?.node;
    expect(node?.value).toBe('L9.H6@4 <= MLP 3');
    expect(source.slice(node?.textStart, (node?.textStart ?? 0) + 5)).toBe('L9.H6');
  });

  it('keeps corrupted and answers', () => {
    const file = parsePromptFile(withFrontMatter('corrupted: The king\nanswers: [" she", {name: x, token: " he"}]'));
    expect(file.problems).toEqual([]);
    expect(file.frontMatter?.corrupted?.value).toBe('The king');
    expect(file.frontMatter?.answers?.value).toEqual([' she', { name: 'x', token: ' he' }]);
    expect(underlined(withFrontMatter('answers: 3'))).toEqual(['wrong-type: 3']);
    expect(underlined(withFrontMatter('corrupted: {a: 1}'))).toEqual(['wrong-type: {a: 1}']);
  });

  it.each([
    ['observabel: { " she": 1 }', 'unknown-key: observabel'],
    ['model: [a]', 'wrong-type: [a]'],
    ['model:', 'wrong-type: model'],
    ['method: occlude', 'unknown-method: occlude'],
    ['node: L9.H6 <= L10.H1', 'bad-path: L10.H1'],
    ['node: "L9.H6@0"', 'bad-path: 0'],
    ['node: [a]', 'wrong-type: [a]'],
    ['node:', 'wrong-type: node'],
    ['norm: froze', 'unknown-word: froze'],
    ['view: [score]', 'unknown-word: [score]'],
    ['observable: { " she": one }', 'wrong-type: one'],
    ['observable: { " she": .inf }', 'not-finite: .inf'],
    ['observable: { " she": .nan }', 'not-finite: .nan'],
    ['observable: {}', 'observable-empty: {}'],
    ['observable: { " she": 0 }', 'observable-empty: { " she": 0 }'],
    ['observable: { " she": 1, " he": 0 }', 'zero-weight: 0'],
    ['observable: { " she": 1, " she": -1 }', 'yaml: " she"'],
    ["observable:\n  ' it''s': 1\n  ' it''s': 2", "yaml: ' it''s'"],
    ['observable: [" she"]', 'wrong-type: [" she"]'],
    ['observable: { ? [a] : 1 }', 'wrong-type: [a]'],
    ['just words', 'yaml: just words'],
  ])('underlines the word in %s', (yaml, expected) => {
    expect(underlined(withFrontMatter(yaml))).toEqual([expected]);
  });

  it('offers the nearest key and method', () => {
    const fixes = (yaml: string) => parsePromptFile(withFrontMatter(yaml)).problems.map((p) => p.fix?.newText);
    expect(fixes('observabel: " she"')).toEqual(['observable']);
    expect(fixes('method: dirct')).toEqual(['direct']);
    expect(fixes('zzzzzzzzz: 1')).toEqual([undefined]);
    expect(fixes('node: a9.6')).toEqual(['L9.H6']);
    expect(fixes('norm: froze')).toEqual(['frozen']);
  });

  it('says where YAML is broken and still finds the prompts', () => {
    const source = withFrontMatter('model: "unclosed\nobservable: { " she": 1');
    const file = parsePromptFile(source);
    expect(file.problems.length).toBeGreaterThan(0);
    for (const problem of file.problems) {
      expect(problem.code).toBe('yaml');
      expect(problem.start).toBeGreaterThanOrEqual(4);
      expect(problem.end).toBeLessThanOrEqual(source.indexOf('\n---\nThe') + 1);
      expect(problem.end).toBeGreaterThan(problem.start);
    }
    expect(file.prompts.map((p) => p.text)).toEqual(['The nurse said that']);
    expect(underlined(withFrontMatter('model: a\nmodel: b'))[0]).toMatch(/^yaml: /);
  });

  it('does not take settings for a prompt when front matter is open', () => {
    const file = parsePromptFile('---\nmodel: smollm2-135m\n');
    expect(file.prompts).toEqual([]);
    expect(file.problems.map((p) => p.code)).toEqual(['front-matter-unclosed']);
  });

  it('underlines the divider of an empty prompt', () => {
    const source = 'one\n---\n\n---\ntwo\n---\n';
    const file = parsePromptFile(source);
    expect(file.prompts.map((p) => p.text)).toEqual(['one', 'two']);
    expect(file.problems.map((p) => [p.code, p.start])).toEqual([
      ['prompt-empty', 4],
      ['prompt-empty', 17],
    ]);
    expect(parsePromptFile('').problems).toEqual([]);
    expect(parsePromptFile('\n').problems).toEqual([]);
  });

  it('reports NUL bytes at the first one, with a fix that removes them all', () => {
    const source = 'a\0b\0c';
    const [problem] = parsePromptFile(source).problems;
    expect(problem).toMatchObject({ code: 'nul-bytes', start: 1, end: 2, severity: 'warning' });
    expect(problem?.fix?.newText).toBe('abc');
  });

  it('ignores a byte order mark', () => {
    const file = parsePromptFile('\uFEFF---\nmodel: m\n---\ntext');
    expect(file.frontMatter?.model?.value).toBe('m');
    expect(file.prompts[0]?.text).toBe('text');
    expect(parsePromptFile('\uFEFFtext').prompts[0]?.text).toBe('text');
  });

  it('never throws on damaged or hostile text, and keeps every range inside the document', () => {
    const alphabet = [
      '-',
      '---',
      '\n',
      '\r\n',
      '\r',
      ' ',
      ':',
      '{',
      '}',
      '[',
      '"',
      "'",
      '#',
      '&a',
      '*a',
      '!!',
      '\0',
      '\t',
      '?',
      'model',
      '😀',
      '\uD800',
      '|',
      '>',
      '%',
      '...',
    ];
    let seed = 7;
    const random = () => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed / 2147483648;
    };
    for (let i = 0; i < 3000; i++) {
      let source = random() < 0.7 ? '---\n' : '';
      for (let j = 0; j < random() * 30; j++) source += alphabet[Math.floor(random() * alphabet.length)];
      if (random() < 0.6) source += '\n---\nx';
      const file = parsePromptFile(source);
      for (const range of [...file.problems, ...file.prompts]) {
        expect(range.start, JSON.stringify(source)).toBeGreaterThanOrEqual(0);
        expect(range.end, JSON.stringify(source)).toBeLessThanOrEqual(source.length);
        expect(range.end, JSON.stringify(source)).toBeGreaterThan(range.start);
      }
    }
    expect(() => parsePromptFile(`---\nmodel: ${'['.repeat(50_000)}\n---\nx`)).not.toThrow();
  });

  it.each([
    ['one prompt', 'The nurse said that. '.repeat(50_000)],
    ['dividers only', '---\n'.repeat(262_144)],
    ['short prompts', 'a\r\n---\r\n'.repeat(131_072)],
    ['open front matter', `---\n${'key: value\n'.repeat(95_000)}`],
    ['long front matter', `---\n${'key: value\n'.repeat(95_000)}---\nx`],
  ])('reads 1 MB of %s in well under a second', (_name, source) => {
    const start = performance.now();
    const file = parsePromptFile(source);
    expect(performance.now() - start).toBeLessThan(1000);
    expect(file.problems.length).toBeLessThanOrEqual(101);
  });
});

describe('a file of very many prompts', () => {
  it('is read up to a limit, which is said where it is', () => {
    const source = 'hi\n---\n'.repeat(20_000);
    const file = parsePromptFile(source);
    expect(file.prompts).toHaveLength(10_000);
    const problem = file.problems.find((p) => p.code === 'too-many-prompts');
    expect(problem?.start).toBe(7 * 10_000 - 4);
    expect(problem?.severity).toBe('warning');
  });
});

describe('promptIndexAt', () => {
  it('finds the prompt under the cursor', () => {
    const file = parsePromptFile(pronouns);
    expect(promptIndexAt(file, pronouns.indexOf('model'))).toBe(-1);
    expect(promptIndexAt(file, pronouns.indexOf('farmer'))).toBe(0);
    expect(promptIndexAt(file, pronouns.indexOf('doctor'))).toBe(1);
    expect(promptIndexAt(file, pronouns.length)).toBe(1);
  });
});
