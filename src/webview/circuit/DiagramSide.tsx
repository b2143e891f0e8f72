import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import { count, signedFixed } from '../../shared/format.ts';
import { LinkButton } from '../figures/Button.tsx';
import type { Theme } from '../figures/theme.ts';
import type { CircuitDrawnProps } from './circuitProps.ts';
import { outsideNodes } from './circuitText.ts';
import type { Grouping } from './circuitView.ts';
import { zoomBy } from './circuitView.ts';
import { groupingOf } from './diagramLayout.ts';
import type { DiagramLayout } from './diagramTypes.ts';
import { allNodes } from './nodeText.ts';
import { RoleBar, rolesOf } from './roleMarks.tsx';
import type { Drag } from './useDrag.ts';

/** Nodes outside that are offered before *All*. */
const fewOutside = 12;

function LineKey({ theme, layout, unit }: { theme: Theme; layout: DiagramLayout; unit: string }): VNode {
  const { palette } = theme;
  const known = layout.largest > 0;
  return (
    <>
      {known ? (
        <span class="m-line-key">
          <svg width={36} height={10} aria-hidden="true">
            <line x1={1} x2={35} y1={5} y2={5} stroke={palette.positive} stroke-width={6} />
          </svg>
          {`raises the metric; this wide = ${signedFixed(layout.largest)} ${unit}`.trim()}
        </span>
      ) : null}
      {layout.wires.some(({ effect }) => (effect ?? 0) < 0) ? (
        <span class="m-line-key">
          <svg width={36} height={10} aria-hidden="true">
            <line x1={1} x2={35} y1={5} y2={5} stroke={palette.negative} stroke-width={2} stroke-dasharray="5 3" />
          </svg>
          lowers it
        </span>
      ) : null}
      <span class="m-quiet">q k v: channel of the head that reads</span>
    </>
  );
}

/** What role bars, lines and letters are. */
export function Legend(props: CircuitDrawnProps & { layout: DiagramLayout }): VNode {
  const { theme, circuit, layout, state } = props;
  const edges = (circuit.edges?.length ?? 0) > 0;
  return (
    <div class="m-legend">
      {rolesOf(circuit).map(({ role, count: n }, i) => (
        <span key={role} class="m-role-key">
          <svg width={6} height={14} aria-hidden="true">
            <RoleBar theme={theme} index={i} x={1} y={0} height={14} />
          </svg>
          {`${role} ${n}`}
        </span>
      ))}
      <LineKey theme={theme} layout={layout} unit={state.evaluation?.metric.unit ?? ''} />
      {edges || state.reads.length === 0 ? null : (
        <span class="m-quiet">lines: from where a head attends most; width: loss without it</span>
      )}
    </div>
  );
}

const groupings: readonly { readonly id: Grouping; readonly label: string }[] = [
  { id: 'none', label: 'Every node' },
  { id: 'layer', label: 'By layer' },
  { id: 'role', label: 'By role' },
];

/** Zoom, grouping, and the threshold under which edges are hidden and counted. */
export function DiagramControls(props: CircuitDrawnProps & { layout: DiagramLayout }): VNode {
  const { view, actions, circuit, layout } = props;
  const group = groupingOf(view.group, circuit);
  const { hidden, largest } = layout;
  const zoom = (step: 1 | -1 | 0) => () => actions.setView({ zoom: zoomBy(view.zoom, step) });
  const effects = layout.wires.length + hidden.count > 12 && largest > 0;
  return (
    <div class="m-controls">
      <span class="m-zoom">
        <button type="button" class="m-switch" aria-label="Zoom out" onClick={zoom(-1)}>
          <span class="codicon codicon-zoom-out" aria-hidden="true" />
        </button>
        <button type="button" class="m-switch" title="Zoom to 100 %" onClick={zoom(0)}>
          {`${Math.round(view.zoom * 100)} %`}
        </button>
        <button type="button" class="m-switch" aria-label="Zoom in" onClick={zoom(1)}>
          <span class="codicon codicon-zoom-in" aria-hidden="true" />
        </button>
      </span>
      {circuit.nodes.length > 12 ? (
        <label class="m-choice">
          <span>Nodes</span>
          <select
            value={group}
            onChange={(event) =>
              actions.setView({ group: (event.currentTarget as HTMLSelectElement).value as Grouping })
            }
          >
            {groupings.map(({ id, label }) => (
              <option key={id} value={id} selected={id === group}>
                {label}
              </option>
            ))}
          </select>
        </label>
      ) : null}
      {effects ? (
        <label class="m-choice">
          <span>Threshold</span>
          <input
            type="range"
            min={0}
            max={100}
            value={Math.round((100 * hidden.below) / largest)}
            aria-valuetext={`edges from ${signedFixed(hidden.below)}`}
            onInput={(event) =>
              actions.setView({ threshold: Number((event.currentTarget as HTMLInputElement).value) / 100 })
            }
          />
        </label>
      ) : null}
      {hidden.count > 0 ? (
        <span class="m-quiet">{`${count(hidden.count)} edges under ${hidden.below.toPrecision(2)} hidden`}</span>
      ) : null}
    </div>
  );
}

/** Heads that are not in the circuit: drag one into the drawing, or press Enter on it. Dropping one here takes it out. */
export function Tray(props: CircuitDrawnProps & { drag: Drag }): VNode {
  const { state, circuit, setting, actions, view, drag, theme } = props;
  const [all, setAll] = useState(false);
  const outside = outsideNodes(state, circuit, allNodes(circuit.scope, setting.nLayers, setting.nHeads));
  const shown = all ? outside : outside.slice(0, fewOutside);
  const measured = state.gains.length > 0;
  return (
    <section class="m-tray" data-drop="tray" aria-label="Not in the circuit">
      <div class="m-heading">
        <h2>Not in the circuit</h2>
        {measured ? <span class="m-caption">change of the metric when it is put in</span> : null}
      </div>
      <div class="m-chips">
        {shown.map(({ node, gain }) => (
          <button
            key={node}
            type="button"
            class={view.node === node ? 'm-chip m-chosen' : 'm-chip'}
            title="Drag it into the drawing, or press Insert"
            onPointerDown={(event) => drag.begin(node, event)}
            onClick={() => actions.setView({ node })}
            onDblClick={() => actions.edit({ kind: 'add', node })}
            onKeyDown={(event) => {
              if (event.key !== 'Insert' && event.key !== 'Enter') return;
              event.preventDefault();
              event.stopPropagation();
              actions.edit({ kind: 'add', node });
            }}
          >
            {node}
            {gain === null ? null : <span style={{ color: theme.palette.secondary }}>{signedFixed(gain)}</span>}
          </button>
        ))}
        {outside.length > fewOutside ? (
          <LinkButton label={all ? 'Fewer' : `All ${count(outside.length)}`} onClick={() => setAll(!all)} />
        ) : null}
        <LinkButton label="Add Node…" onClick={() => actions.ask({ type: 'ask', what: 'add' })} />
      </div>
    </section>
  );
}
