import { count, share, signed, signedFixed, visibleToken } from '../../shared/format.ts';
import { baseline, baseRun, cellCount, doneCount, wholeEffect } from '../../shared/gridCells.ts';
import type { GridDocument } from '../../shared/gridDocument.ts';
import type { GridPanelState, GridPlace } from '../../shared/gridPanelProtocol.ts';
import type { SampleSummary } from '../../shared/metric.ts';
import { cellNoun, columnKind, placeName, rowsAreHeads, siteWord } from './gridNames.ts';
import { effectSummary, hasIntervals, largestCells } from './gridNumbers.ts';

/** `+1.94 logits`; a unit that is empty says nothing. */
function withUnit(text: string, unit: string): string {
  return `${text} ${unit}`.trim();
}

/** `ablated`, `patched`: what a run with the intervention is called. */
export function afterWord({ analysis }: GridDocument): string {
  return analysis === 'ablate' ? 'ablated' : 'patched';
}

/** `95 % [−2.15, −1.73]`; empty for one item. */
function intervalText(summary: SampleSummary | null): string {
  const interval = summary?.interval;
  return interval ? `${Math.round(interval.level * 100)} % [${signed(interval.low)}, ${signed(interval.high)}]` : '';
}

/** The largest change, or null when there is none. */
function largest(document: GridDocument) {
  const [first] = largestCells(document);
  return first && Math.abs(first.effect) > 1e-9 ? first : null;
}

/** True when n > 1 and the largest change's interval has 0 in it. */
export function belowNoise(document: GridDocument): boolean {
  const cell = largest(document);
  const interval = cell && hasIntervals(document) ? effectSummary(document, cell)?.interval : null;
  return interval !== null && interval !== undefined && interval.low <= 0 && interval.high >= 0;
}

/** The finding: `L17.H5 matters most: −1.94 of +4.01 logits`. */
export function titleOf(document: GridDocument, item = 0): string {
  const done = doneCount(document);
  const { unit, label } = document.metric;
  const soFar = document.complete ? '' : 'So far ';
  const no = document.complete ? 'No' : 'no';
  if (done === 0) return `${label}, nothing run yet`;
  const cell = largest(document);
  const one = cellNoun(document, 1);
  if (cell === null) return `${soFar}${no} ${one} changes ${label}`;
  const name = placeName(document, cell, item);
  const effect = signedFixed(cell.effect);
  if (belowNoise(document))
    return `${soFar}${no} ${one} changes ${label} beyond noise; largest ${name} ${withUnit(effect, unit)}`;
  const whole = wholeEffect(document);
  const verb = baseline(document) === 'corrupted' ? 'restores most' : 'matters most';
  const of = baseline(document) === 'corrupted' && whole !== null ? whole : document.clean.mean;
  return `${soFar}${name} ${verb}: ${effect} of ${withUnit(signedFixed(of), unit)}`;
}

function methodWords({ method, screening }: GridDocument): string {
  if (method === 'attribution') return ' · first-order estimates, no cell run';
  if (method !== 'screened') return '';
  const recall = screening ? `, recall of the top ${screening.top} ${share(screening.recall)}` : '';
  return ` · dotted cells run exactly, the others first-order estimates${recall}`;
}

function positionWords(document: GridDocument): string {
  const positions = new Set(document.request.prompts.map(({ position }) => position ?? -1));
  if (positions.size !== 1) return 'at the position of each prompt';
  const [position] = positions;
  if (position === undefined) return '';
  if (position === -1) return 'at the last position';
  return position < 0 ? `at position ${-position} from the end` : `at position ${position + 1}`;
}

/** Metric and position · n · intervention · model and patches · #hash. */
export function subtitleOf(document: GridDocument): string {
  const { provenance, items, metric } = document;
  const patches = provenance.patches.length === 0 ? 'no patches' : `patches ${provenance.patches.join(', ')}`;
  const n = `n = ${count(items.length)} ${items.length === 1 ? 'prompt' : 'prompts'}`;
  const from = baseline(document);
  return (
    `${metric.label} ${positionWords(document)}, ${afterWord(document)} − ${from} · ${n} · ${document.intervention}` +
    `${methodWords(document)} · ${provenance.modelLabel}, ${patches} · #${provenance.hash}`
  );
}

/** `Every head`, `resid_pre by position`: what the grid is. */
export function figureTitle(document: GridDocument): string {
  const kind = columnKind(document);
  const site = siteWord(document);
  if (document.analysis === 'path-patch') return 'Every sender';
  if (kind === 'position' && rowsAreHeads(document)) return `${site} of ${document.axes.rows.name}s by position`;
  if (kind === 'position') return `${site === '' ? 'Residual stream' : site} by position`;
  if (kind === 'none') return site === 'MLP' ? 'Every MLP' : `${site} of every ${document.axes.rows.name}`;
  return document.analysis === 'ablate'
    ? `Every ${cellNoun(document, 1)}`
    : `${site} of every ${cellNoun(document, 1)}`;
}

/** `1:42 left`; hours from 60 minutes on. */
export function timeLeft(seconds: number): string {
  const total = Math.max(0, Math.round(seconds));
  const two = (value: number): string => String(value).padStart(2, '0');
  const minutes = Math.floor(total / 60);
  const clock = minutes < 60 ? `${minutes}:` : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:`;
  return `${clock}${two(total % 60)} left`;
}

/** `183 of 270 heads · now L20.H3 · 1:42 left · 52 heads/min` */
export function progressWords(document: GridDocument, state: Pick<GridPanelState, 'progress' | 'pace'>): string {
  const total = cellCount(document);
  const done = doneCount(document);
  // A screened sweep goes on after its estimates are there.
  const { progress } = state;
  if (done === total && progress) return `${count(progress.done)} of ${count(progress.total)} · now ${progress.label}`;
  const parts = [`${count(done)} of ${count(total)} ${cellNoun(document, total)}`];
  if (state.progress && state.progress.label !== '') parts.push(`now ${state.progress.label}`);
  if (state.pace && state.pace.cells > 0 && state.pace.milliseconds > 500) {
    const perSecond = (1000 * state.pace.cells) / state.pace.milliseconds;
    parts.push(timeLeft((total - done) / perSecond));
    parts.push(`${count(Math.max(1, perSecond * 60))} ${cellNoun(document, 2)}/min`);
  }
  return parts.join(' · ');
}

/** The row in which cells arrive: the last one that is begun and not finished. */
export function liveRow({ values }: GridDocument): number | null {
  const at = values.findIndex((row) => row.some((value) => value === null) && row.some((value) => value !== null));
  return at < 0 ? null : at;
}

/** What the read-out says after a cell's number. */
export function cellNote(document: GridDocument, place: GridPlace): string {
  const value = document.values[place.row]?.[place.column] ?? null;
  if (value === null) return '';
  const base = baseRun(document).mean;
  const parts = [
    hasIntervals(document) ? intervalText(effectSummary(document, place)) : '',
    `${baseline(document)} ${signed(base)}, ${afterWord(document)} ${signed(value)}`,
    `n = ${count(document.items.length)}`,
  ];
  if (document.method !== 'exact') {
    parts.push(document.exact[place.row]?.[place.column] ? 'run exactly' : 'first-order estimate');
  }
  return parts.filter((part) => part !== '').join(' · ');
}

/** The same in short, for a screen reader: `95 percent −2.15 to −1.73`. */
export function spokenCellNote(document: GridDocument, place: GridPlace): string {
  const interval = hasIntervals(document) ? effectSummary(document, place)?.interval : null;
  const kind = document.method === 'screened' && document.exact[place.row]?.[place.column] ? 'run exactly' : '';
  const range = interval ? `95 percent ${signed(interval.low)} to ${signed(interval.high)}` : '';
  return [range, kind].filter((part) => part !== '').join(', ');
}

/** What a paper or a note needs to say where a number comes from. */
export function citationOf(document: GridDocument): string {
  const { provenance, cost } = document;
  return [
    `${titleOf(document)}. ${subtitleOf(document)}.`,
    `${count(cost.forwardPasses)} forward passes; ${provenance.bos === 'none added' ? 'no BOS added' : 'BOS added by the tokenizer'}.`,
    `Model ${provenance.model}, sha256 ${provenance.modelHash}, ${provenance.dtype}, weights as stored.`,
    `Mechanist ${provenance.mechanistVersion}.`,
  ].join('\n');
}

/** Name for exported files: `ablate-3f9a1c7`. */
export function fileStem({ analysis, provenance }: GridDocument): string {
  return `${analysis}-${provenance.hash}`;
}

/** The last words of a prompt, as much as fits into `max` characters. */
export function promptEnd(text: string, max = 46): string {
  const points = [...text.replaceAll('\n', '⏎')];
  return points.length <= max ? points.join('') : `…${points.slice(points.length - max + 1).join('')}`;
}

/** `␣Mary − ␣John`: the answer of an item against its foils. */
export function answerOf({ answer, foils }: { readonly answer: string; readonly foils: readonly string[] }): string {
  return [answer, ...foils].map(visibleToken).join(' − ');
}
