import type { VNode } from 'preact';
import { signed } from '../../shared/format.ts';
import { Button, LinkButton } from '../figures/Button.tsx';
import { ProgressLine } from '../figures/States.tsx';
import { PictureView } from '../results/PictureView.tsx';
import type { CircuitDrawnProps } from './circuitProps.ts';
import { additionText, removalText } from './circuitText.ts';
import type { DiagramLayout, Wire } from './diagramTypes.ts';
import { RoleBar, rolesOf } from './roleMarks.tsx';

interface DetailProps extends CircuitDrawnProps {
  readonly layout: DiagramLayout;
  readonly detailWidth: number;
}

/** `reads from L5.H8 +0.19, C3 +2.72`: the diagram's edges as links, strongest first. */
function Links({
  title,
  wires,
  end,
  layout,
  actions,
}: { title: string; wires: readonly Wire[]; end: 'from' | 'to' } & DetailProps): VNode | null {
  if (wires.length === 0) return null;
  const sorted = [...wires].sort((a, b) => Math.abs(b.effect ?? 0) - Math.abs(a.effect ?? 0)).slice(0, 12);
  return (
    <p class="m-links">
      <span class="m-quiet">{title}</span>
      {sorted.map((wire) => {
        const box = layout.boxes.find(({ id }) => id === wire[end]);
        const text = box?.label ?? (end === 'to' ? 'logits' : wire.column);
        const value = wire.effect === null ? '' : ` ${signed(wire.effect)}`;
        const channel = wire.channel === null || wire.channel === 'logits' ? '' : ` (${wire.channel})`;
        return (
          <span key={wire.id}>
            {box ? <LinkButton label={text} onClick={() => actions.setView({ node: box.members[0] })} /> : text}
            {`${channel}${value}`}
          </span>
        );
      })}
    </p>
  );
}

function Pictures(props: DetailProps & { node: string }): VNode | null {
  const { state, node, theme, view, actions, detailWidth } = props;
  const detail = state.detail?.node === node ? state.detail : null;
  if (detail === null) return null;
  if (detail.error !== null)
    return <p class="m-caption">{`Its attention and OV circuit could not be read: ${detail.error}`}</p>;
  if (detail.pictures === null) {
    const progress = { done: 0, total: 0, label: `Reading ${node}` };
    return (
      <ProgressLine progress={progress} label={`Reading ${node}`} onCancel={() => actions.setView({ node: null })} />
    );
  }
  const { pictures } = detail;
  return (
    <>
      {pictures.map((picture) => (
        <section key={picture.id} class="m-picture m-detail-part">
          <PictureView
            theme={theme}
            document={{ pictures }}
            view={{ ...view, numbers: null }}
            picture={picture}
            width={detailWidth}
            actions={actions}
            compact
          />
        </section>
      ))}
    </>
  );
}

/** The selected head: its role, what it reads and writes, where it looks, what its OV circuit copies, what its removal does. */
export function NodeDetail(props: DetailProps): VNode | null {
  const { circuit, node, actions, theme, state, answer, layout } = props;
  if (node === null) return null;
  const found = circuit.nodes.find((one) => one.node === node);
  const roles = rolesOf(circuit).map(({ role }) => role);
  const box = layout.boxes.find(({ members }) => members.includes(node));
  const effect = found ? removalText(state, node, answer) : additionText(state, node);
  return (
    <section class="m-node-detail" aria-label={node}>
      <div class="m-heading">
        {found?.role === undefined ? null : (
          <svg width={6} height={14} aria-hidden="true">
            <RoleBar theme={theme} index={roles.indexOf(found.role)} x={1} y={0} height={14} />
          </svg>
        )}
        <h2>{[node, found?.label, found?.role].filter((text) => text !== undefined).join('  ')}</h2>
        {found ? (
          <Button label="Remove From Circuit" onClick={() => actions.edit({ kind: 'remove', node })} />
        ) : (
          <Button label="Add to Circuit" onClick={() => actions.edit({ kind: 'add', node })} />
        )}
        {found ? (
          <>
            <LinkButton label="Set Role" onClick={() => actions.ask({ type: 'ask', what: 'role', node })} />
            <LinkButton label="Rename" onClick={() => actions.ask({ type: 'ask', what: 'label', node })} />
          </>
        ) : null}
      </div>
      {effect === null ? null : <p class={state.freshness === 'old' ? 'm-caption m-old' : 'm-caption'}>{effect}</p>}
      {box ? (
        <Links {...props} title="reads from" end="from" wires={layout.wires.filter(({ to }) => to === box.id)} />
      ) : null}
      {box ? (
        <Links {...props} title="writes to" end="to" wires={layout.wires.filter(({ from }) => from === box.id)} />
      ) : null}
      <Pictures {...props} node={node} />
    </section>
  );
}
