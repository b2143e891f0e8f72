import type { Commands, PromptTarget } from '../../shared/contributions.ts';
import { percent, share, signed, signedFixed, visibleToken } from '../../shared/format.ts';
import type { Palette } from '../../shared/palette.ts';
import type { LensTable, PropagationDetail, TraceDocument } from '../../shared/traceDocument.ts';
import { codeSpan, escapeHtml } from '../markdown.ts';
import { normText, shortPath, worstNorm } from '../promptLanguage/propagationText.ts';
import { type CarrierTable, carrierTable } from './carriedBy.ts';
import { attributionBar, lensBars, rowBar } from './hoverImages.ts';

/** What a hover over one token shows. */
export interface HoverCardInput {
  readonly document: TraceDocument;
  /** 0-based token of the prompt. */
  readonly token: number;
  /** The logit lens of this position; a sentence when there is none (yet). */
  readonly lens: LensTable | string;
  /** End of the file's scale, in logits. */
  readonly scaleMax: number;
  readonly palette: Palette;
  readonly target: PromptTarget;
}

const methodNames = {
  direct: 'direct logit attribution',
  occlusion: 'occlusion',
  'gradient-times-input': 'gradient × input',
  'integrated-gradients': 'integrated gradients',
  'observable-propagation': 'observable propagation',
} as const;
const methodNotes = {
  direct: 'attention and norm frozen',
  occlusion: 'token replaced by the mean embedding',
  'gradient-times-input': 'embedding times gradient',
  'integrated-gradients': 'path from the mean embedding',
  'observable-propagation': 'attention held fixed',
} as const;

/*
 * VS Code gives a hover 250 px in a window of usual height and fixes its lines at 1.5 em; a row of a table takes 3.5 px
 * more. The card therefore is one table of columns with a line for each row, and `div`s, which have no margin.
 */
const gap = ' &nbsp;';
/** So that each column has as many lines as the others. */
const emptyLine = '<br>&nbsp;';
const lines = (content: readonly string[]) => content.join('<br>');
/** Words of one line stay together: a line that wraps would push the rest of its column down. */
const whole = (text: string) => text.replaceAll(' ', '\u00a0');
const right = (content: readonly string[]) => `<td align="right">${lines(content)}</td>`;
const left = (content: readonly string[]) => `<td>${lines(content)}</td>`;
const table = (...cells: string[]) => `<table><tr>${cells.join('')}</tr></table>`;
const strong = (text: string) => `<strong>${text}</strong>`;
const small = (text: string) => `<small>${text}</small>`;
const quiet = (text: string) => `<span style="color:var(--vscode-descriptionForeground);">${text}</span>`;

const warning = (text: string) => `<span style="color:var(--vscode-editorWarning-foreground);">${text}</span>`;

/** In a prompt without BOS the first token takes the attention that heads have no other use for. */
function isRest({ document, token }: Pick<HoverCardInput, 'document' | 'token'>): boolean {
  const alone = document.tokens.length === 1 || document.method !== 'direct';
  return token === 0 && !alone && document.provenance.bos === 'none added';
}

function header({ document, token }: HoverCardInput): string {
  const { id, text } = document.tokens[token] ?? { id: -1, text: '' };
  const place = `position ${strong(String(token + 1))} of ${document.tokens.length}`;
  const name = strong(codeSpan(visibleToken(text)));
  const note = isRest({ document, token }) ? 'idle heads rest here' : methodNotes[document.method];
  const { propagation } = document;
  const said = propagation ? `propagation, ${normText(propagation)}` : `${methodNames[document.method]}, ${note}`;
  const method = quiet(small(escapeHtml(said)));
  return `<div>${name}${gap}${quiet('token id')} ${strong(String(id))}${gap}${place}${gap}${method}</div>`;
}

function attribution({ document, token, scaleMax, palette }: HoverCardInput): string {
  const value = document.attributions[token] ?? Number.NaN;
  const { label, value: total } = document.observable;
  if (document.propagation) return propagated({ document, token, scaleMax, palette }, document.propagation);
  // An effect of occlusion is no part of a sum.
  const ofTotal =
    document.method === 'direct' && total !== 0
      ? `${percent(value / total)} of ${signedFixed(total)}`
      : `observable ${signedFixed(total)}`;
  const bar = attributionBar(value, scaleMax, palette);
  return `<div>Adds to ${codeSpan(label)}${gap}${bar}${gap}${strong(`${signed(value)} logits`)}${gap}${quiet(ofTotal)}</div>`;
}

/** Observable propagation: score, attention and contribution of the token; then the path's share, and how far to trust it. */
function propagated(
  { document, token, scaleMax, palette }: Pick<HoverCardInput, 'document' | 'token' | 'scaleMax' | 'palette'>,
  detail: PropagationDetail,
): string {
  const { value: total } = document.observable;
  const of = (values: readonly number[]) => values[token] ?? Number.NaN;
  const bar = attributionBar(of(document.attributions), scaleMax, palette);
  const emphasised = (text: string, view: PropagationDetail['view']) => (view === detail.view ? strong(text) : text);
  const numbers = [
    emphasised(`score x·y ${signed(of(detail.scores))}`, 'score'),
    `attention ${share(of(detail.attention))}`,
    emphasised(`A·x·y ${signed(of(detail.contributions))} logits`, 'contribution'),
  ].join(gap);
  const ofTotal = detail.share === null ? '' : `, ${percent(detail.share)} of ${signedFixed(total)}`;
  const worst = worstNorm(detail);
  const turn = worst ? Math.round((worst.angle * 180) / Math.PI) : 0;
  const doubt = worst
    ? `${gap}${warning(`ρ ${share(Math.abs(worst.rho))} at ${escapeHtml(worst.norm)} turns the gradient by ${turn}°`)}`
    : '';
  const sum = `${codeSpan(shortPath(detail.path))} in all ${signed(detail.contribution)} logits${ofTotal}${doubt}`;
  return `<div>${bar}${gap}${numbers}</div><div>${small(sum)}</div>`;
}

/** The four columns of "Carried by", nine lines each. */
function carriers({ rows, others, sum }: CarrierTable, { document, palette }: HoverCardInput): string {
  const largest = Math.max(...rows.map((c) => Math.abs(c.value)), Math.abs(others.value), 1e-12);
  const title = document.method === 'direct' ? 'Carried by' : 'Direct split';
  const rest = others.count > 0 ? [others] : [];
  const attention = (c: CarrierTable['rows'][number]) => (c.attention === null ? '—' : share(c.attention));
  return [
    left([
      strong(whole(title)),
      ...rows.map((c) => whole(c.name)),
      ...rest.map((o) => quiet(whole(`${o.count} others`))),
      'sum',
    ]),
    right([quiet('logits'), ...[...rows, ...rest].map((c) => c.text), strong(sum.text)]),
    left(['&nbsp;', ...[...rows, ...rest].map((c) => rowBar(c.value, largest, palette)), '&nbsp;']),
    right([quiet(whole('attn to it')), ...rows.map((c) => quiet(attention(c))), ...rest.map(() => '&nbsp;'), '&nbsp;']),
  ].join('');
}

/** Rows of the lens that the table has: embedding, last layer, and others between, evenly. */
function shownRows(count: number, shown: number): number[] {
  return [...new Set(Array.from({ length: shown }, (_, k) => Math.round((k * (count - 1)) / (shown - 1))))];
}

function lensPart({ document, lens, palette }: HoverCardInput): string {
  const title = strong(whole('Logit lens here'));
  if (typeof lens === 'string') return `${title}<br>${quiet(escapeHtml(lens))}${emptyLine.repeat(5)}`;
  const values = lens.values.map((columns) => columns[0] ?? Number.NaN);
  const rows = shownRows(values.length, document.propagation ? 2 : 3);
  const top = rows.map((i) => lens.top[i]?.[0]);
  const columns = table(
    left([`${title}&nbsp;`, ...rows.map((i) => lens.rows[i] ?? '')]),
    right([quiet('logits'), ...rows.map((i) => signed(values[i] ?? Number.NaN))]),
    left([quiet(whole(' top token')), ...top.map((t) => (t ? codeSpan(visibleToken(t.text)) : ''))]),
    right([quiet('p'), ...top.map((t) => (t ? share(t.p) : ''))]),
  );
  // Row 0 is the embedding; it is in the table, and as a bar it would often dwarf the layers.
  return `${columns}${lensBars(values.slice(1), lens.rows.slice(1), palette)}`;
}

function command<K extends (typeof hoverCommands)[number]>(id: K, argument: Commands[K]): string {
  return `command:${id}?${encodeURIComponent(JSON.stringify([argument])).replace(/[()]/g, (c) => `%${c.charCodeAt(0).toString(16)}`)}`;
}

/** `n = 1 prompt · no ablation · smollm2-135m Q4_1, no patches · #3f9a1c7 · float32 · no BOS added` */
function provenanceLine({ provenance }: TraceDocument): string {
  const patches = provenance.patches.length > 0 ? provenance.patches.join(', ') : 'no patches';
  const ablation = provenance.ablation === 'none' ? 'no ablation' : provenance.ablation;
  const bos = provenance.bos === 'none added' ? 'no BOS added' : 'BOS added by the tokenizer';
  return `n = 1 prompt · ${ablation} · ${provenance.modelLabel}, ${patches} · #${provenance.hash} · ${provenance.dtype} · ${bos}`;
}

/** Commands that the card's links run; the Markdown is trusted with these only. */
export const hoverCommands = ['mechanist.openTraceAtToken', 'mechanist.ablate', 'mechanist.copyTrace'] as const;

function links(input: HoverCardInput, { rows }: CarrierTable): string {
  const target = { ...input.target, token: input.token };
  const heads = rows.flatMap(({ head }) => (head ? [{ row: head.layer, column: head.head }] : []));
  const usual = { prompts: 'one', sites: 'heads', mode: 'zero', method: 'exact', metric: 'usual' } as const;
  const sweep = { ...input.target, ...usual, heads };
  const link = (href: string, text: string) => `<a href="${href}">${whole(text)}</a>`;
  const ablate = heads.length > 0 ? `${link(command('mechanist.ablate', sweep), 'Ablate These Heads')}${gap}` : '';
  return lines([
    link(command('mechanist.openTraceAtToken', target), 'Open Trace at This Token'),
    `${ablate}${link(command('mechanist.copyTrace', target), 'Copy as JSON')}`,
  ]);
}

/** The card as HTML in Markdown: every number is in a table or a sentence, images only repeat them. */
export function hoverCard(input: HoverCardInput): string {
  // The line that propagation takes is one that the table has less.
  const carried = carrierTable(input.document, input.token, input.document.propagation ? 5 : 6);
  const lens = `<td>${lensPart(input)}<br>${links(input, carried)}</td>`;
  return [
    header(input),
    attribution(input),
    '<hr>',
    table(carriers(carried, input), left(['&nbsp;']), lens),
    '<hr>',
    `<div>${quiet(small(escapeHtml(provenanceLine(input.document))))}</div>`,
  ].join('');
}
