import type { SweepTarget } from '../../shared/contributions.ts';
import type { GridDocument } from '../../shared/gridDocument.ts';
import type { MetricSpec, Normalization } from '../../shared/metric.ts';
import { type MetricChoice, type MetricSetting, metricChoices } from '../grid/metricChoices.ts';
import { mostFoils, type SweepKind } from '../grid/sweep.ts';
import { ask, type Begun, type Option } from './sweepSteps.ts';

type Picked = Pick<MetricChoice, 'spec' | 'refusal'> | 'share';

async function askShare(title: string): Promise<Normalization> {
  return await ask<Normalization>(title, 'On which scale', [
    {
      label: 'Share restored',
      description: 'denoising form',
      detail: '(x − corrupted) / (clean − corrupted): 0 = as the corrupted run, 1 = as the clean run.',
      value: 'denoising',
    },
    {
      label: 'Share lost',
      description: 'noising form',
      detail: '(x − clean) / (clean − corrupted): 0 = as the clean run, −1 = as the corrupted run.',
      value: 'noising',
    },
  ]);
}

async function askOf(title: string, setting: MetricSetting, shares: boolean): Promise<MetricSpec | null> {
  const options = metricChoices(setting).map(({ label, detail, spec, refusal }, i): Option<Picked> => {
    const usual = i === 0 && setting.normalize === undefined ? 'as usual' : '';
    return { label, description: refusal ?? usual, detail, value: { spec, refusal } };
  });
  const share: Option<Picked> = {
    label: 'A share of clean − corrupted…',
    detail: 'One of these, normalised by what parts the two runs.',
    value: 'share',
  };
  let question = 'What is measured';
  for (;;) {
    const picked = await ask<Picked>(title, question, shares ? [...options, share] : options);
    if (picked === 'share') return await askOf(title, { ...setting, normalize: await askShare(title) }, false);
    if (picked.refusal === null) return picked.spec;
    question = `That cannot be measured here: ${picked.refusal}. Another one?`;
  }
}

/** What is measured at each cell; null: the usual. Shares of an effect are offered where two runs are compared. */
export async function askMetric(
  title: string,
  kind: SweepKind,
  method: GridDocument['method'],
  answer: string | null,
  begun: Begun,
  given: SweepTarget | undefined,
): Promise<MetricSpec | null> {
  if (given?.metric !== undefined) return given.metric === 'usual' ? null : given.metric;
  const pair = kind.analysis !== 'ablate';
  const base = pair && kind.direction !== 'noising' ? 'corrupted' : 'clean';
  return await askOf(title, { foils: mostFoils(begun.session.file, answer), method, base }, pair);
}
