import type { FromCircuitPanel } from '../../shared/circuitPanelProtocol.ts';
import { count } from '../../shared/format.ts';
import { resultToJson } from '../../shared/resultJson.ts';
import { tableToCsv } from '../figures/csv.ts';
import { DataTable } from '../figures/DataTable.tsx';
import type { MenuItem } from '../figures/Menu.tsx';
import { inlineSvg, reportPage } from '../figures/reportPage.tsx';
import { svgToPng } from '../figures/stillSvg.tsx';
import { plainTheme } from '../figures/theme.ts';
import { type CircuitExport, circuitSvg } from './circuitSvg.tsx';
import { circuitTables, nodesTable } from './circuitTables.ts';
import { subtitleOf, titleOf } from './circuitText.ts';
import { ablationWords } from './evaluationPictures.ts';

export const exportItems: readonly MenuItem[] = [
  { id: 'svg', label: 'SVG' },
  { id: 'png', label: 'PNG' },
  { id: 'csv', label: 'CSV: Nodes' },
  { id: 'json', label: 'JSON: Evaluation' },
  { id: 'eap-ig', label: 'EAP-IG JSON' },
  { id: 'attribution-graph', label: 'Attribution-Graph JSON' },
  { id: 'html', label: 'HTML Report' },
  { id: 'citation', label: 'Copy Citation' },
];

function factsOf({ state, circuit, setting }: CircuitExport): readonly (readonly [string, string])[] {
  const { evaluation } = state;
  return [
    ['circuit', circuit.name],
    ['how it came about', JSON.stringify(circuit.provenance)],
    ['ablation', ablationWords(circuit.ablation)],
    ['data', `${circuit.data?.path ?? ''}, ${count(setting.rows)} rows, ${count(setting.refused)} left out`],
    ['model', `${setting.modelLabel} (${circuit.model.ref})`],
    ['sha256 of the weights', setting.modelHash],
    ...(evaluation === null
      ? []
      : ([
          ['metric', `${evaluation.metric.label}, ${evaluation.metric.unit}`],
          ['random circuits', `${count(evaluation.random.overall.length)}, seed ${evaluation.random.seed}`],
          ['cost', `${count(evaluation.cost.forwardPasses)} forward passes, ${evaluation.cost.seconds.toFixed(1)} s`],
          ['Mechanist', `${evaluation.provenance.mechanistVersion}, result #${evaluation.provenance.hash}`],
        ] as const)),
  ];
}

/** A page of its own: drawing, every number, provenance; nothing is loaded, no scripts. */
function circuitReport(shown: CircuitExport): string {
  const { state, circuit, answer } = shown;
  const theme = plainTheme('light');
  const wide = { ...shown, width: 1200, untitled: true };
  return reportPage({
    title: titleOf(state, circuit, answer),
    subtitle: subtitleOf(state, circuit),
    warnings: state.evaluation?.warnings ?? [],
    screen: inlineSvg(circuitSvg({ ...wide, theme })),
    print: inlineSvg(circuitSvg({ ...wide, theme: plainTheme('highContrastLight') })),
    facts: factsOf(shown),
    tables: circuitTables(state, circuit, answer).map((table) => (
      <DataTable key={table.id} theme={theme} table={table} sort={null} />
    )),
  });
}

/**
 * The message that an entry of *Export* sends to the host.
 * @throws Error with a sentence for the person when there is nothing to export yet or the page cannot draw
 */
export async function exportMessage(id: string, shown: CircuitExport): Promise<FromCircuitPanel> {
  const { state, circuit, answer } = shown;
  const stem = circuit.name.replace(/[^\w.-]+/g, '-') || 'circuit';
  const file = (format: 'svg' | 'png' | 'csv' | 'json' | 'html', data: string | Uint8Array): FromCircuitPanel => ({
    type: 'export',
    format,
    name: `${stem}.${format}`,
    data,
  });
  if (id === 'eap-ig' || id === 'attribution-graph') return { type: 'convert', to: id };
  if (id === 'citation') {
    const version = state.evaluation ? ` Mechanist ${state.evaluation.provenance.mechanistVersion}.` : '';
    return { type: 'copy', text: `${titleOf(state, circuit, answer)}. ${subtitleOf(state, circuit)}.${version}` };
  }
  if (id === 'svg') return file('svg', circuitSvg(shown));
  if (id === 'png') return file('png', await svgToPng(circuitSvg(shown)));
  if (id === 'csv') return file('csv', tableToCsv(nodesTable(state, circuit, answer)));
  if (id === 'html') return file('html', circuitReport(shown));
  if (state.evaluation === null) throw new Error('There are no numbers yet.');
  return file('json', resultToJson(state.evaluation));
}
