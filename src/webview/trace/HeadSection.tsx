import type { VNode } from 'preact';
import { useMemo } from 'preact/hooks';
import { signed, visibleToken } from '../../shared/format.ts';
import { isHighContrast } from '../../shared/palette.ts';
import type { HeadDetail, TraceDocument } from '../../shared/traceDocument.ts';
import type { ComponentRef } from '../../shared/tracePanelProtocol.ts';
import { componentName, effectOf } from '../../shared/traceSelection.ts';
import { AttentionFigure } from '../figures/AttentionFigure.tsx';
import { LinkButton } from '../figures/Button.tsx';
import { DataTable } from '../figures/DataTable.tsx';
import { DivergingKey } from '../figures/DivergingKey.tsx';
import { ErrorState } from '../figures/States.tsx';
import { attentionId, attentionKeyOf, attentionModel } from './attentionModel.ts';
import { shareOfTotal } from './traceModels.ts';
import type { TracePartProps } from './traceProps.ts';
import { ovTable, sourcesTable } from './traceTables.ts';
import { readToken } from './traceText.ts';

interface HeadProps extends TracePartProps {
  readonly component: ComponentRef;
}

/** The detail if it belongs to this head; a late answer about another head is not shown. */
function detailOf(head: HeadDetail | null, component: ComponentRef): HeadDetail | null {
  return head?.layer === component.layer && head.head === component.head ? head : null;
}

function addsInWords(document: TraceDocument, component: ComponentRef): string {
  const effect = effectOf(document, component);
  const part = shareOfTotal(document, effect);
  return `${signed(effect)} logits${part === '' ? '' : ` · ${part} of the total`}`;
}

function Attention(props: HeadProps): VNode {
  const { document, state, theme, selection, component, actions, view } = props;
  const detail = detailOf(state.head, component);
  const contrast = isHighContrast(theme.palette);
  const pattern = detail?.pattern ?? null;
  const model = useMemo(
    () => attentionModel(document, pattern, componentName(component), contrast),
    [document, pattern, component.layer, component.head, contrast],
  );
  const { token } = selection;
  return (
    <AttentionFigure
      theme={theme}
      model={model}
      marks={{
        selected: token !== null && token <= document.position ? attentionId(document.position, token) : null,
        row: `q${document.position}`,
      }}
      numbers={contrast && document.tokens.length <= 24}
      heading={
        <>
          <h3>Attention pattern</h3>
          <DivergingKey theme={theme} max={1} unit="" scale="sequential" />
        </>
      }
      caption={
        <span class="m-axes">
          <span>query ↓</span>
          <span>key →</span>
        </span>
      }
      onSelect={(cell) => actions.selectToken(attentionKeyOf(cell.id))}
      onCopy={actions.copy}
      onTable={() => actions.setView({ table: !view.table })}
    />
  );
}

function Sources({ document, theme, selection, component, actions, view }: HeadProps): VNode {
  const table = useMemo(() => sourcesTable(document, component), [document, component.layer, component.head]);
  const selected = table.rows.findIndex((row) => row[1] !== null && row[1] === (selection.token ?? -1) + 1);
  return (
    <div class="m-head-sources">
      <DataTable
        theme={theme}
        table={table}
        hideCaption
        sort={view.sorts[table.id] ?? null}
        onSort={(sort) => actions.sort(table.id, sort)}
        selected={selected}
        onSelect={(row) => {
          const position = table.rows[row][1];
          if (typeof position === 'number') actions.selectToken(position - 1);
        }}
      />
    </div>
  );
}

function OvCircuit({ document, state, theme, component, actions, view }: HeadProps): VNode {
  const detail = detailOf(state.head, component);
  if (state.headError !== null) {
    return (
      <div class="m-head-ov">
        <ErrorState
          what={`${componentName(component)} could not be read`}
          message={state.headError}
          onShowLog={actions.showLog}
        />
      </div>
    );
  }
  if (detail === null) return <p class="m-head-ov m-caption">Attention and OV circuit are being computed.</p>;
  const table = ovTable(detail, visibleToken(document.tokens[detail.ov.source]?.text ?? ''));
  return (
    <div class="m-head-ov">
      <DataTable
        theme={theme}
        table={table}
        sort={view.sorts[table.id] ?? null}
        onSort={(sort) => actions.sort(table.id, sort)}
      />
    </div>
  );
}

function HeadParts(props: HeadProps): VNode {
  const { document, component } = props;
  return (
    <section class="m-head" aria-label={componentName(component)}>
      <div class="m-heading">
        <h2>{componentName(component)}</h2>
        <span class="m-subtitle">
          {`attention from ${readToken(document)} · ${addsInWords(document, component)} · Alt+↑ ↓ next head by effect`}
        </span>
        {component.head === undefined ? null : (
          <LinkButton label="Ablate" onClick={() => props.actions.ablate(component.layer, component.head ?? 0)} />
        )}
      </div>
      <div class="m-head-parts">
        <Attention {...props} />
        <Sources {...props} />
        <OvCircuit {...props} />
      </div>
    </section>
  );
}

function MlpPart({ document, component }: HeadProps): VNode {
  return (
    <section class="m-head" aria-label={componentName(component)}>
      <div class="m-heading">
        <h2>{componentName(component)}</h2>
        <span class="m-subtitle">{`${addsInWords(document, component)} · Alt+↑ ↓ next head by effect`}</span>
      </div>
      <p class="m-caption">
        {`It adds ${signed(effectOf(document, component))} logits at ${readToken(document)}. An MLP reads its own position only, so it has no attention pattern.`}
      </p>
    </section>
  );
}

/** The lower part: the selected head, or what the selected MLP adds. */
export function HeadSection(props: TracePartProps): VNode | null {
  const { component } = props.selection;
  if (component === null) return null;
  return component.kind === 'mlp' ? (
    <MlpPart {...props} component={component} />
  ) : (
    <HeadParts {...props} component={component} />
  );
}
