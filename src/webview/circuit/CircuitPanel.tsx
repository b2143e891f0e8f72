import type { VNode } from 'preact';
import { useMemo } from 'preact/hooks';
import type { AblationValue } from '../../shared/circuit.ts';
import type { PanelMetric } from '../../shared/circuitPanelProtocol.ts';
import { LinkButton } from '../figures/Button.tsx';
import { type Choice, PanelHeader, Segmented } from '../figures/PanelHeader.tsx';
import { EmptyState, Notice, ProgressLine } from '../figures/States.tsx';
import { ScrollTable } from '../results/PictureView.tsx';
import { exportItems } from './circuitExport.tsx';
import type { CircuitDrawnProps, CircuitPanelProps, CircuitPartProps } from './circuitProps.ts';
import { circuitTables } from './circuitTables.ts';
import { effectsOf, subtitleOf, titleOf } from './circuitText.ts';
import { answerOf, type CircuitView, selectedNode } from './circuitView.ts';
import { Diagram } from './Diagram.tsx';
import { DiagramControls, Legend, Tray } from './DiagramSide.tsx';
import { arrangeNodes, layoutDiagram } from './diagramLayout.ts';
import { Evidence } from './Evidence.tsx';
import { NodeDetail } from './NodeDetail.tsx';
import { type DropPlace, useDrag } from './useDrag.ts';

const columnModes: readonly Choice<CircuitView['columns']>[] = [
  { id: 'positions', label: 'Positions' },
  { id: 'roles', label: 'Roles' },
];
const ablations: readonly Choice<AblationValue['kind']>[] = [
  { id: 'mean', label: 'Mean' },
  { id: 'zero', label: 'Zero' },
  { id: 'resample', label: 'Resample' },
];

const metricLabels: Readonly<Record<PanelMetric, string>> = {
  max: 'Largest foil',
  mean: 'Mean of the foils',
  'log-prob': 'Log-probability',
};

/** How answers are scored, where the data leave a choice. */
function MetricChoice({ setting, state, actions }: CircuitDrawnProps): VNode | null {
  if (setting.metrics.length < 2) return null;
  const chosen = state.metric ?? setting.metrics[0];
  return (
    <label class="m-choice">
      <span>Metric</span>
      <select
        value={chosen}
        onChange={(event) => actions.score((event.currentTarget as HTMLSelectElement).value as PanelMetric)}
      >
        {setting.metrics.map((metric) => (
          <option key={metric} value={metric} selected={metric === chosen}>
            {metric === 'max' && !setting.metrics.includes('mean') ? 'Foil' : metricLabels[metric]}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The circuit's corruption, or the data's first, for the switch of what stands in. */
function ablationOf({ circuit, setting }: CircuitDrawnProps, kind: AblationValue['kind']): AblationValue | null {
  const { ablation } = circuit;
  const corruption =
    ablation.kind === 'zero' ? setting.corruptions[0] : (ablation.corruption ?? setting.corruptions[0]);
  if (kind === 'zero') return { kind };
  if (kind === 'mean') return corruption === undefined ? { kind } : { kind, corruption };
  return corruption === undefined ? null : { kind, corruption };
}

function Modes(props: CircuitDrawnProps): VNode {
  const { view, setting, actions, answer, circuit } = props;
  const answers = ['all', ...setting.answers.map((_, i) => `${i}`)].map((id) => ({
    id,
    label: id === 'all' ? 'All' : (setting.answers[Number(id)]?.name ?? id),
  }));
  const possible = ablations.filter(({ id }) => ablationOf(props, id) !== null);
  return (
    <>
      <Segmented
        label="Columns"
        choices={columnModes}
        value={view.columns}
        onChange={(columns) => actions.setView({ columns })}
      />
      <MetricChoice {...props} />
      {setting.answers.length > 1 && setting.answers.length < 6 ? (
        <Segmented
          label="Answer"
          choices={answers}
          value={`${answer}`}
          onChange={(id) => actions.setView({ answer: id === 'all' ? 'all' : Number(id) })}
        />
      ) : null}
      <Segmented
        label="Ablation"
        choices={possible}
        value={circuit.ablation.kind}
        onChange={(kind) => {
          const ablation = ablationOf(props, kind);
          if (ablation) actions.edit({ kind: 'ablation', ablation });
        }}
      />
    </>
  );
}

function Notices({ state, problem, actions }: CircuitPanelProps): VNode {
  const text = <LinkButton label="Open as Text" onClick={() => actions.tell('openAsText')} />;
  return (
    <>
      {state.faults.map(({ line, column, severity, message }) => (
        <Notice key={`${line} ${column} ${message}`} icon={severity === 'error' ? 'error' : 'warning'}>
          {`Line ${line}, column ${column}: ${message} `}
          {severity === 'error' ? text : null}
        </Notice>
      ))}
      {state.foreign ? (
        <Notice icon="info">
          {'This is a graph of EAP-IG. '}
          <LinkButton label="Make It a Circuit" onClick={() => actions.tell('importGraph')} />
        </Notice>
      ) : null}
      {state.otherModel ? (
        <Notice icon="warning">
          {`This circuit was made with other weights (#${state.otherModel.expected.slice(0, 7)}, here #${state.otherModel.found.slice(0, 7)}). Its numbers need not hold. `}
          <LinkButton label="Go On" onClick={() => actions.tell('goOn')} />
        </Notice>
      ) : null}
      {state.error ? (
        <Notice icon="error">
          {`${state.error} `}
          <LinkButton label="Try Again" onClick={() => actions.tell('retry')} />
          {' · '}
          <LinkButton label="Show Log" onClick={() => actions.tell('showLog')} />
        </Notice>
      ) : null}
      {problem ? <Notice icon="error">{problem}</Notice> : null}
      {(state.evaluation?.warnings ?? []).map((warning) => (
        <Notice key={warning} icon="warning">
          {warning}
        </Notice>
      ))}
    </>
  );
}

function Header(props: CircuitPartProps): VNode {
  const { state, circuit, answer, view, actions } = props;
  return (
    <PanelHeader
      title={titleOf(state, circuit, answer)}
      subtitle={subtitleOf(state, circuit)}
      modes={state.setting ? <Modes {...props} setting={state.setting} /> : null}
      numbers={null}
      table={view.table}
      exports={exportItems}
      onNumbers={() => undefined}
      onTable={(table) => actions.setView({ table })}
      onExport={actions.exportAs}
    />
  );
}

/** Widths of the parts: side by side from 1200 px. */
function widthsOf(width: number): { readonly diagram: number; readonly detail: number; readonly evidence: number } {
  const inner = Math.max(260, width - (width < 600 ? 24 : 36));
  if (width < 800) return { diagram: inner, detail: inner, evidence: inner };
  const half = Math.floor((inner - 30) / 2);
  if (width < 1200) return { diagram: inner, detail: Math.min(inner, 640), evidence: half };
  const detail = Math.min(520, Math.floor(inner * 0.36));
  return { diagram: inner - detail - 18, detail: detail - 20, evidence: Math.floor((inner - 60) / 3) };
}

/** What the logits box says: the chosen answer. */
function logitsLabel({ setting, answer }: CircuitDrawnProps): string {
  return answer === 'all' ? 'logits' : `logits, ${setting.answers[answer]?.name ?? ''}`;
}

function Drawn(props: CircuitDrawnProps): VNode {
  const { circuit, setting, view, answer, state, width, actions } = props;
  const widths = widthsOf(width);
  const effects = useMemo(() => effectsOf(state, circuit, answer), [state.evaluation, circuit, answer]);
  const { columns, group, threshold } = view;
  const plan = { circuit, setting, columns, group, answer };
  const groups = useMemo(() => arrangeNodes(plan), Object.values(plan));
  const layout = useMemo(
    () => layoutDiagram({ ...plan, threshold, reads: state.reads, effects, width: widths.diagram }, groups),
    [groups, threshold, state.reads, effects, widths.diagram],
  );
  const onDrop = (node: string, place: DropPlace): void => {
    const inside = circuit.nodes.some((one) => one.node === node);
    const diagram = place.over?.closest('[data-drop="diagram"]');
    if (!diagram) {
      if (inside) actions.edit({ kind: 'remove', node });
      return;
    }
    const left = diagram.querySelector('svg')?.getBoundingClientRect().left ?? 0;
    const x = (place.x - left) / view.zoom;
    const column = layout.columns.find((one) => x >= one.left && x < one.left + one.width);
    // Where no node has a place, all count everywhere: a drop is then no narrower.
    const narrow = circuit.nodes.some(({ at: places }) => places !== undefined);
    const at = column && narrow ? [column.role ?? `${column.position}`] : undefined;
    if (!inside) actions.edit({ kind: 'add', node, ...(at && { at }) });
    else if (
      at &&
      !layout.boxes.some((box) => box.members.includes(node) && layout.columns[box.column]?.id === column?.id)
    )
      actions.edit({ kind: 'place', node, at });
  };
  const drag = useDrag(onDrop);
  const part = { ...props, layout, effects, drag };
  return (
    <>
      <div class="m-circuit">
        <div class="m-circuit-main">
          <Legend {...part} />
          <Diagram {...part} logitsLabel={logitsLabel(props)} />
          <DiagramControls {...part} />
          <Tray {...part} />
        </div>
        {state.evaluation ? <Evidence {...props} evaluation={state.evaluation} partWidth={widths.evidence} /> : null}
        <NodeDetail {...part} detailWidth={widths.detail} />
      </div>
      {drag.dragged ? (
        <div class="m-ghost" style={{ left: `${drag.dragged.x}px`, top: `${drag.dragged.y}px` }}>
          {drag.dragged.node}
        </div>
      ) : null}
    </>
  );
}

function Loaded(props: CircuitPartProps): VNode {
  const { state, circuit, answer, view, actions } = props;
  return (
    <>
      <Header {...props} />
      {state.progress ? (
        <ProgressLine
          progress={state.progress}
          label="Evaluating the circuit"
          delay={600}
          onCancel={() => actions.tell('cancel')}
        />
      ) : null}
      <Notices {...props} />
      {view.table ? (
        <div class="m-tables">
          {circuitTables(state, circuit, answer).map((table) => (
            <ScrollTable key={table.id} {...props} table={table} />
          ))}
        </div>
      ) : state.setting ? (
        <Drawn {...props} setting={state.setting} />
      ) : circuit.data === undefined && state.error === null ? (
        <EmptyState
          text="A circuit is drawn and tested on a dataset, and this file names none. Choose one; its path is written into the file."
          action="Choose Data"
          onAction={() => actions.tell('chooseData')}
        />
      ) : null}
    </>
  );
}

/** The panel of a circuit file: a pure function of what the host sent, the person's view, the theme and the width. */
export function CircuitPanel(props: CircuitPanelProps): VNode {
  const { state, view, actions } = props;
  const { circuit } = state;
  if (circuit === null) {
    return (
      <main class="m-panel" data-status="broken">
        <h1>{state.title}</h1>
        <Notices {...props} />
        {state.faults.length === 0 && state.error === null && !state.foreign ? (
          <ProgressLine
            progress={{ done: 0, total: 0, label: 'Reading the file' }}
            label="Reading the file"
            onCancel={() => actions.tell('openAsText')}
          />
        ) : null}
      </main>
    );
  }
  const part = { ...props, circuit, answer: answerOf(view, state), node: selectedNode(view, circuit, state) };
  return (
    <main class="m-panel" data-status={state.freshness}>
      <Loaded {...part} />
    </main>
  );
}
