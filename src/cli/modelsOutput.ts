import { bytes, count } from '../shared/format.ts';
import type { ModelInfo, ModelListing, VerifyReport } from '../shared/modelInfo.ts';
import { table } from './table.ts';

const states: Readonly<Record<ModelListing['state'], string>> = {
  bundled: 'bundled',
  ready: 'on this machine',
  remote: 'can be pulled',
  missing: 'missing',
};

export function listText(listings: readonly ModelListing[]): string {
  const rows = listings.map(({ ref, state, downloadBytes, licence, family, note }) => [
    ref,
    states[state],
    downloadBytes === null ? '' : bytes(downloadBytes),
    licence ?? '',
    family,
    note ?? '',
  ]);
  const titles = ['model', 'state', 'download', 'licence', 'family', ''];
  const columns = titles.map((title, i) => ({ title, align: i === 2 ? ('right' as const) : ('left' as const) }));
  return `${table(columns, rows)}\n`;
}

export function infoText(info: ModelInfo): string {
  const heads =
    info.nKeyValueHeads === info.nHeads
      ? `${info.nHeads} heads`
      : `${info.nHeads} heads, ${info.nKeyValueHeads} key-value heads`;
  const { neededBytes, availableBytes, fits } = info.memory;
  const rows: readonly (readonly [string, string])[] = [
    ['model', info.label],
    ['reference', info.ref],
    ['family', info.family],
    ['layers', `${info.nLayers}, ${heads} of ${info.dHead}`],
    ['width', `d_model ${info.dModel}, d_mlp ${info.dMlp}`],
    ['vocabulary', count(info.dVocab)],
    ['context', `${count(info.nCtx)} tokens`],
    ['parameters', count(info.parameters)],
    ['stored as', info.storedAs],
    ['licence', info.licence ?? 'not stated'],
    ['sha256', info.hash ?? 'not computed yet'],
    ['memory', `${fits ? 'fits' : 'does not fit'}: ${bytes(neededBytes)} of ${bytes(availableBytes)} free`],
  ];
  const label = Math.max(...rows.map(([name]) => name.length));
  return `${rows.map(([name, value]) => `${name.padEnd(label)}  ${value}`).join('\n')}\n`;
}

export function verifyText(report: VerifyReport): string {
  const outcome = report.passed ? 'passed' : 'FAILED';
  return (
    `${report.ref}: ${outcome}. max |Δ logit| ${report.maxAbsLogitDelta.toPrecision(3)} over ${report.prompts} prompts, ` +
    `tolerance ${report.tolerance}, against ${report.reference}\n`
  );
}
