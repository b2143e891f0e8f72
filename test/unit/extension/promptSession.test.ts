import { beforeEach, describe, expect, it } from 'vitest';
import { noObservables } from '../../../src/core/tasks/namedObservables.ts';
import { ModelDirectory } from '../../../src/extension/modelDirectory.ts';
import { lensTexts } from '../../../src/extension/promptLanguage/lensTexts.ts';
import { PromptSession } from '../../../src/extension/promptLanguage/promptSession.ts';
import type { TraceRequest } from '../../../src/shared/engineProtocol.ts';
import { MechanistError } from '../../../src/shared/errors.ts';
import { FakeEngine, settle } from './fakeEngine.ts';

const head = '---\nmodel: smollm2-135m\nobservable: { " she": 1, " he": -1 }\n---\n';

class Source {
  folder = '/home/someone/prompts';
  range = { start: 0, end: 1e9 };
  constructor(public content: string) {}
  text = () => this.content;
  visible = () => [this.range];
  settings = () => ({
    model: 'smollm2-135m',
    fallbackModel: 'small-world',
    method: 'direct' as const,
    tintEnabled: true,
    updateDelayMs: 0,
    observables: noObservables,
  });
}

let engine: FakeEngine;
let source: Source;

function sessionOf(content: string): PromptSession {
  source = new Source(content);
  const session = new PromptSession(source, engine, new ModelDirectory(engine));
  session.refresh();
  return session;
}

/** Replaces text as an editor does, and waits for the debounce. */
async function edit(session: PromptSession, from: string, to: string): Promise<void> {
  const offset = source.content.indexOf(from);
  source.content = source.content.replace(from, to);
  session.edited([{ offset, length: from.length, inserted: to.length }]);
  await new Promise((resolve) => setTimeout(resolve, 5));
  await settle();
}

beforeEach(() => {
  engine = new FakeEngine();
});

describe('PromptSession', () => {
  it('traces every prompt and places its tokens', async () => {
    const session = sessionOf(`${head}The nurse said\n---\nThe farmer said\n`);
    expect(session.state(0).kind).toBe('pending');
    await settle();
    expect([session.state(0).kind, session.state(1).kind]).toEqual(['traced', 'traced']);
    const shown = session.shown.flatMap((p) => p.tokens.map((t) => source.content.slice(t.start, t.end)));
    expect(shown).toEqual(['The', ' nurse', ' said', 'The', ' farmer', ' said']);
    const row = lensTexts(session, 0, 'file:///x').map((t) => t.title);
    expect(row[0]).toBe('smollm2-135m Q4_1');
    expect(row.slice(1)).toEqual([
      expect.stringMatching(/ = [+−]\d+\.\d\d logits$/),
      'Trace',
      'Change Observable',
      'Change Method',
    ]);
    expect(lensTexts(session, 0, 'file:///x', true).map((t) => t.title)).toEqual(row.slice(1, 4));
  });

  it('traces what is on screen first', async () => {
    const session = sessionOf(`${head}one a\n---\ntwo b\n---\nthree c\n`);
    const start = source.content.indexOf('three');
    source.range = { start, end: start + 5 };
    await settle();
    expect(engine.traces()).toEqual(['three c', 'one a', 'two b']);
    session.dispose();
  });

  it('keeps old tints, moved along, until the new ones are there', async () => {
    const session = sessionOf(`${head}The nurse said\n`);
    await settle();
    let open = () => {};
    engine.gate = new Promise((resolve) => {
      open = resolve;
    });
    await edit(session, 'The nurse', 'So the nurse');
    expect(session.state(0).kind).toBe('pending');
    const texts = () => session.shown.flatMap((p) => p.tokens.map((t) => source.content.slice(t.start, t.end)));
    expect(texts()).toEqual([' said']);
    open();
    await settle();
    expect(session.state(0).kind).toBe('traced');
    expect(texts()).toEqual(['So', ' the', ' nurse', ' said']);
  });

  it('lets the last edit win and cancels the one before', async () => {
    const session = sessionOf(`${head}The nurse said\n`);
    await settle();
    engine.gate = new Promise(() => {});
    await edit(session, 'nurse', 'maid');
    await edit(session, 'maid', 'king');
    engine.gate = null;
    const asked = engine.asked.filter((a) => a.method === 'trace');
    expect(asked.map((a) => a.signal?.aborted)).toEqual([false, true, false]);
    session.dispose();
  });

  it('asks nothing again for prompts that an edit did not touch', async () => {
    const session = sessionOf(`${head}The nurse said\n---\nThe farmer said\n`);
    await settle();
    let sawPending = false;
    session.onDidChange(() => {
      sawPending ||= session.state(1).kind !== 'traced';
    });
    await edit(session, 'nurse', 'maid');
    expect(engine.traces()).toEqual(['The nurse said', 'The farmer said', 'The maid said']);
    expect(sawPending).toBe(false);
  });

  it('stops at wrong front matter and says where', async () => {
    const session = sessionOf('---\nmethod: 3\n---\nThe nurse said\n');
    await settle();
    expect(session.state(0).kind).toBe('blocked');
    expect(engine.traces()).toEqual([]);
    expect(session.problems().map((p) => p.code)).toEqual(['unknown-method']);
  });

  it('refuses observable terms that split, with the split and the fix', async () => {
    const session = sessionOf('---\nobservable: { she: 1 }\n---\nThe nurse said\n');
    await settle();
    const [problem] = session.problems();
    expect(problem).toMatchObject({ code: 'token-splits', severity: 'error' });
    expect(problem?.message).toContain('s | he');
    expect(problem?.fix).toMatchObject({ title: 'Use ␣she', newText: '" she"' });
    expect(session.state(0).kind).toBe('blocked');
    await edit(session, 'she: 1', '" she": 1');
    expect(session.problems()).toEqual([]);
    expect(session.state(0).kind).toBe('traced');
  });

  it('uses the fallback for a model that can be downloaded and says so', async () => {
    const session = sessionOf('---\nmodel: gpt2\n---\nThe nurse said\n');
    await settle();
    const row = lensTexts(session, 0, 'file:///x').map((t) => t.title);
    expect(row[0]).toMatch(/ instead of gpt2$/);
    const models = engine.asked.filter((a) => a.method === 'trace').map((a) => (a.params as TraceRequest).model);
    expect(models).toEqual(['small-world']);
    expect(row[1]).toBe('Download gpt2, 548 MB');
    expect(session.problems()).toEqual([]);
  });

  it.each([
    ['smolm2-135m', 'smollm2-135m'],
    ['gone', undefined],
  ])('underlines the model %s that cannot be used', async (name, fix) => {
    const session = sessionOf(`---\nmodel: ${name}\n---\nThe nurse said\n`);
    await settle();
    expect(session.state(0).kind).toBe('noModel');
    const [problem] = session.problems();
    expect(source.content.slice(problem?.start, problem?.end)).toBe(name);
    expect(problem?.fix?.newText).toBe(fix);
  });

  it('puts what the engine refuses at the prompt, and traces again on demand', async () => {
    engine.failure = new MechanistError('bad-input', 'Position 98 is outside.', { position: 98, length: 3 });
    const session = sessionOf(`${head.replace('observable', 'position: 99\nobservable')}The nurse said\n`);
    await settle();
    const [problem] = session.problems();
    expect(source.content.slice(problem?.start, problem?.end)).toBe('99');
    expect(problem?.message).toBe('This prompt has 3 tokens: 1 is the first, −1 the last.');
    engine.failure = null;
    expect((await session.traced(0))?.prompt).toBe('The nurse said');
    expect(session.state(0).kind).toBe('traced');
    expect(session.problems()).toEqual([]);
  });

  it('does not blame the text when the engine stopped; the next question is asked again', async () => {
    engine.failure = new MechanistError('engine-stopped', 'The engine stopped.');
    const session = sessionOf(`${head}The nurse said\n`);
    await settle();
    expect(session.state(0).kind).toBe('failed');
    expect(session.problems()).toEqual([]);
    engine.failure = null;
    expect(await session.traced(0)).not.toBeNull();
  });

  it('reads a file of 100,000 prompts without tracing it all', async () => {
    const session = sessionOf(head + 'hi\n---\n'.repeat(100_000));
    source.range = { start: 0, end: 200 };
    await settle();
    await settle();
    expect(engine.traces().length).toBeLessThanOrEqual(100);
    session.dispose();
  });
});
