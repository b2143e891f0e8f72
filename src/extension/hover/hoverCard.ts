import type { Commands, PromptTarget } from '../../shared/contributions.ts';
import { percent, share, signed, signedFixed, visibleToken } from '../../shared/format.ts';
import type { Palette } from '../../shared/palette.ts';
import type { LensTable, TraceDocument } from '../../shared/traceDocument.ts';
import { codeSpan, escapeHtml } from '../markdown.ts';
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

const methodNames = { direct: 'direct logit attribution', occlusion: 'occlusion' } as const;
const methodNotes = {
  direct: 'frozen attention and norm scale',
  occlusion: 'token replaced by the mean embedding',
} as const;

const right = (content: string) => `<td align="right">${content}</td>`;
const left = (content: string) => `<td>${content}</td>`;
const row = (...cells: string[]) => `<tr>${cells.join('')}</tr>`;
const strong = (text: string) => `<strong>${text}</strong>`;
const quiet = (text: string) => `<span style="color:var(--vscode-descriptionForeground);">${text}</span>`;

function header({ document, token }: HoverCardInput): string {
  const { id, text } = document.tokens[token] ?? { id: -1, text: '' };
  const place = `position ${strong(String(token + 1))} of ${document.tokens.length}`;
  const name = strong(codeSpan(visibleToken(text)));
  return `${name} &nbsp; ${quiet('token id')} ${strong(String(id))} &nbsp; ${place} &nbsp; ${quiet(methodNames[document.method])}`;
}

function attribution({ document, token, scaleMax, palette }: HoverCardInput): string {
  const value = document.attributions[token] ?? Number.NaN;
  const { label, value: total } = document.observable;
  // An effect of occlusion is no part of a sum.
  const ofTotal =
    document.method === 'direct' && total !== 0
      ? `${percent(value / total)} of ${signedFixed(total)}`
      : `observable ${signedFixed(total)}`;
  return `<table>${row(
    left(`Adds to ${codeSpan(label)}<br>${quiet(methodNotes[document.method])}`),
    left(attributionBar(value, scaleMax, palette)),
    right(`${strong(`${signed(value)} logits`)}<br>${quiet(ofTotal)}`),
  )}</table>`;
}

function carriers(table: CarrierTable, { document, palette }: HoverCardInput): string {
  const largest = Math.max(...table.rows.map((c) => Math.abs(c.value)), Math.abs(table.others.value), 1e-12);
  const title = document.method === 'direct' ? 'Carried by' : 'Carried by (direct split)';
  const head = row(left(strong(title)), right(quiet('logits')), left(''), right(quiet('attn to it')));
  const rows = table.rows.map((c) =>
    row(
      left(c.name),
      right(c.text),
      left(rowBar(c.value, largest, palette)),
      right(quiet(c.attention === null ? '—' : share(c.attention))),
    ),
  );
  const { others, sum } = table;
  const rest =
    others.count > 0
      ? [
          row(
            left(quiet(`${others.count} others`)),
            right(others.text),
            left(rowBar(others.value, largest, palette)),
            left(''),
          ),
        ]
      : [];
  return `<table>${[head, ...rows, ...rest, row(left('sum'), right(strong(sum.text)), left(''), left(''))].join('')}</table>`;
}

/** Five rows of the lens: embedding, last layer, and three between. */
function fiveRows(count: number): number[] {
  return [...new Set([0, 1, 2, 3, 4].map((k) => Math.round((k * (count - 1)) / 4)))];
}

function lensPart({ lens, document, palette }: HoverCardInput): string {
  const { label } = document.observable;
  if (typeof lens === 'string')
    return `<table>${row(left(strong('Logit lens here')))}${row(left(quiet(escapeHtml(lens))))}</table>`;
  const values = lens.values.map((columns) => columns[0] ?? Number.NaN);
  // Row 0 is the embedding; it is in the table, and as a bar it would often dwarf the layers.
  const [layers, bars] = [lens.rows.slice(1), values.slice(1)];
  const title = `${strong('Logit lens here')} &nbsp; ${quiet(`${escapeHtml(label)}, ${layers[0] ?? ''} … ${layers.at(-1) ?? ''}`)}`;
  const head = row(left(quiet('layer')), right(quiet('logits')), left(quiet('top token')), right(quiet('p')));
  const rows = fiveRows(values.length).map((i) => {
    const top = lens.top[i]?.[0];
    const token = top ? codeSpan(visibleToken(top.text)) : '';
    return row(
      left(lens.rows[i] ?? ''),
      right(signedFixed(values[i] ?? Number.NaN)),
      left(token),
      right(top ? share(top.p) : ''),
    );
  });
  return `${title}<br>${lensBars(bars, layers, palette)}<table>${head}${rows.join('')}</table>`;
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

/** The card as Markdown with HTML: every number is in a table or a sentence, images only repeat them. */
export function hoverCard(input: HoverCardInput): string {
  const table = carrierTable(input.document, input.token);
  const target = { ...input.target, token: input.token };
  const open = `[Open Trace at This Token](${command('mechanist.openTraceAtToken', target)})`;
  const copy = `[Copy as JSON](${command('mechanist.copyTrace', target)})`;
  const heads = table.rows.flatMap(({ head }) => (head ? [{ row: head.layer, column: head.head }] : []));
  const sweep = { ...input.target, prompts: 'one', sites: 'heads', mode: 'zero', method: 'exact', heads } as const;
  const ablate = heads.length === 0 ? '' : ` &nbsp;&nbsp; [Ablate These Heads](${command('mechanist.ablate', sweep)})`;
  const columns = `<table><tr><td valign="top">${carriers(table, input)}</td><td valign="top">${lensPart(input)}</td></tr></table>`;
  return [
    header(input),
    '---',
    attribution(input),
    '---',
    columns,
    '---',
    `${open}${ablate} &nbsp;&nbsp; ${copy}`,
    // Two lines, as one would make the whole card wider than its figures.
    quiet(escapeHtml(provenanceLine(input.document)).replace(' · &#35;', ' ·<br>&#35;').replace(' · #', ' ·<br>#')),
  ].join('\n\n');
}
