import { beforeEach, describe, expect, it } from 'vitest';
import { noObservables } from '../../../src/core/tasks/namedObservables.ts';
import { hoverCard } from '../../../src/extension/hover/hoverCard.ts';
import { ModelDirectory } from '../../../src/extension/modelDirectory.ts';
import { legendPieces } from '../../../src/extension/promptLanguage/legend.ts';
import { lensTexts } from '../../../src/extension/promptLanguage/lensTexts.ts';
import { PromptSession } from '../../../src/extension/promptLanguage/promptSession.ts';
import { propagationSentence, worstNorm } from '../../../src/extension/promptLanguage/propagationText.ts';
import type { TraceRequest } from '../../../src/shared/engineProtocol.ts';
import { MechanistError } from '../../../src/shared/errors.ts';
import { signed } from '../../../src/shared/format.ts';
import { palettes } from '../../../src/shared/palette.ts';
import type { PropagationDetail } from '../../../src/shared/traceDocument.ts';
import { makeTrace, withPropagation } from '../../support/traceFixture.ts';
import { FakeEngine, settle } from './fakeEngine.ts';

let engine: FakeEngine;
beforeEach(() => {
  engine = new FakeEngine();
});

async function sessionOf(frontMatter: string, method: 'direct' | 'observable-propagation' = 'direct') {
  const content = `---\nmodel: smollm2-135m\nobservable: { " she": 1, " he": -1 }\n${frontMatter}---\nThe nurse said\n`;
  const settings = {
    ...{ model: 'smollm2-135m', fallbackModel: '', tintEnabled: true, updateDelayMs: 0 },
    ...{ method, observables: noObservables },
  };
  const source = {
    text: () => content,
    folder: '/',
    settings: () => settings,
    visible: () => [{ start: 0, end: 1e9 }],
  };
  const session = new PromptSession(source, engine, new ModelDirectory(engine));
  session.refresh();
  await settle();
  const problems = session
    .problems()
    .map(({ code, severity, start, end }) => [code, severity, content.slice(start, end)]);
  const asked = engine.asked.find(({ method: asked }) => asked === 'trace')?.params as TraceRequest | undefined;
  return { session, problems, asked };
}

const propagation = 'method: observable-propagation\n';

describe('observable propagation in a prompt file', () => {
  it('asks for the path, norm and view of the front matter', async () => {
    const node = 'node: L21.H4@2 <= MLP 3\nnorm: scaled\nview: contribution\n';
    const { asked, problems } = await sessionOf(propagation + node);
    expect(problems).toEqual([]);
    expect(asked).toMatchObject({
      ...{ method: 'observable-propagation', path: 'L21.H4@2 <= MLP 3', norm: 'scaled', view: 'contribution' },
    });
  });

  it('does not ask another method for them, and says that they are not read', async () => {
    const { asked, problems } = await sessionOf('method: direct\nnode: L21.H4\nview: score\n');
    expect(asked).not.toHaveProperty('path');
    expect(problems).toEqual([
      ['not-read', 'warning', 'L21.H4'],
      ['not-read', 'warning', 'score'],
    ]);
    const bySetting = await sessionOf('node: L21.H4\n', 'observable-propagation');
    expect(bySetting.problems).toEqual([]);
  });

  it('underlines what the model does not have', async () => {
    const { problems, asked } = await sessionOf(`${propagation}node: L21.H4 <= L30.H1 <= L2.H9\n`);
    // L30 also comes before L21: that is seen without the model.
    expect(problems).toEqual([['bad-path', 'error', 'L30.H1']]);
    expect(asked).toBeUndefined();
    expect((await sessionOf(`${propagation}node: "L29.H9"\n`)).problems).toEqual([['bad-path', 'error', 'L29.H9']]);
  });

  it('is checked together with everything else that is wrong', async () => {
    const { problems } = await sessionOf(`${propagation}node: L30.H1\nnorm: froze\n`);
    expect(problems).toEqual([
      ['unknown-word', 'error', 'froze'],
      ['bad-path', 'error', 'L30.H1'],
    ]);
  });

  it('is blamed at its path for a token that the prompt does not have', async () => {
    engine.failure = new MechanistError('bad-input', 'Position 9: there is no such token, the prompt has 3.');
    const { problems } = await sessionOf(`${propagation}position: 2\nnode: L21.H4@9\n`);
    expect(problems).toEqual([['bad-input', 'error', 'L21.H4@9']]);
    engine.failure = new MechanistError('bad-input', 'Outside.', { position: 8, length: 3 });
    expect((await sessionOf(`${propagation}position: 9\nnode: L21.H4\n`)).problems).toEqual([
      ['bad-input', 'error', '9'],
    ]);
  });

  it('is said in the row over the prompt: view, node and norms', async () => {
    const { session } = await sessionOf(`${propagation}node: L21.H4@2\nnorm: jacobian\n`);
    const texts = lensTexts(session, 0, 'file:///x');
    expect(texts.map(({ title }) => title)).toContain('score at L21.H4@2, norms by their gradient');
    const along = texts.find(({ title }) => title.startsWith('score'));
    expect(along?.tooltip).toBe(
      'What L21.H4@2 reads from each token along ␣she − ␣he, at full attention; norms by their gradient.',
    );
  });
});

describe('what is shown of observable propagation', () => {
  const detail = (change: Partial<PropagationDetail> = {}) =>
    withPropagation(makeTrace(), change).propagation as PropagationDetail;

  it('names the head that nobody named', () => {
    const text = propagationSentence(detail({ pathIsDefault: true, view: 'contribution' }), '␣she − ␣he');
    expect(text).toBe(
      'What each token adds to ␣she − ␣he through L21.H4@7 (the head that adds most directly), with the attention there is; norm scales frozen.',
    );
  });

  it('ends the legend with view and node, of long paths the ends', () => {
    const document = withPropagation(makeTrace(), { path: 'L21.H4@7 <= L18.H7@3 <= MLP 12@3' });
    const [last] = legendPieces(document, 2, { below: false, above: false }).slice(-1);
    expect(last?.text).toBe('+2 ␣she logits, score L21.H4@7 <= … <= MLP 12@3');
  });

  it('doubts a norm from ρ .30 on, the worst of them, and none that is ignored', () => {
    const norms = [
      { norm: 'blocks.21.ln1', rho: 0.29, angle: 0.3 },
      { norm: 'ln_final', rho: -0.49, angle: 0.512 },
    ];
    expect(worstNorm(detail({ norms }))?.norm).toBe('ln_final');
    expect(worstNorm(detail({ norms: norms.slice(0, 1) }))).toBeNull();
    expect(worstNorm(detail({ norms: [{ norm: 'ln_final', rho: -0.3, angle: 0.3 }] }))?.norm).toBe('ln_final');
    expect(worstNorm(detail({ norms, norm: 'ignore' }))).toBeNull();
  });

  const lens = { rows: ['emb'], positions: [6], values: [[0]], top: [[]] };
  const card = (change: Partial<PropagationDetail> = {}) =>
    hoverCard({
      ...{ document: withPropagation(makeTrace(), change), token: 6, lens, scaleMax: 2, palette: palettes.dark },
      target: { uri: 'file:///a.prompt', prompt: 0 },
    }).replaceAll('\u00a0', ' ');

  it('is in the hover: score, attention, contribution, path, norms, share of the observable', () => {
    const { scores, contributions, contribution } = detail();
    const text = card();
    expect(text).toContain(`<strong>score x·y ${signed(scores[6])}</strong>`);
    expect(text).toContain('attention .11');
    expect(text).toContain(`A·x·y ${signed(contributions[6])} logits`);
    expect(text).toContain('propagation, norm scales frozen');
    expect(text).toContain(`<code>L21.H4@7</code> in all ${signed(contribution)} logits, `);
    expect(text).toMatch(/logits, \d+ % of \+\d/);
    expect(text).toContain('Direct split');
    expect(card({ view: 'contribution' })).toContain(`<strong>A·x·y ${signed(contributions[6])} logits</strong>`);
    expect(text).not.toContain('ρ');
  });

  it('warns in the hover where a norm turns the gradient', () => {
    const text = card({ norms: [{ norm: 'ln_final', rho: 0.49, angle: 0.512 }] });
    expect(text).toContain('ρ .49 at ln&#95;final turns the gradient by 29°');
  });
});
