import type { VNode } from 'preact';
import { useMemo } from 'preact/hooks';
import { isHighContrast } from '../../shared/palette.ts';
import { beyondScale } from '../../shared/scale.ts';
import { DivergingKey } from '../figures/DivergingKey.tsx';
import { MatrixFigure } from '../figures/MatrixFigure.tsx';
import { ErrorState } from '../figures/States.tsx';
import { panelLayout } from './panelLayout.ts';
import {
  componentId,
  componentOf,
  componentsModel,
  componentValues,
  lensCellId,
  lensModel,
  lensPositionOf,
  rowId,
} from './traceModels.ts';
import type { TracePartProps } from './traceProps.ts';
import { windowIn } from './viewState.ts';

function useSetup({ document, view, theme, width, height }: TracePartProps) {
  const { start, end } = windowIn(document, view);
  const layout = useMemo(
    () => panelLayout(document, view, theme, width, height),
    [document, view.numbers, start, end, theme, width, height],
  );
  return { start, end, layout };
}

/** Layer × head, MLP and layer totals. */
function ComponentsFigure(props: TracePartProps): VNode {
  const { document, theme, selection, actions, view } = props;
  const { layout } = useSetup(props);
  const model = useMemo(() => componentsModel(document, layout), [document, layout]);
  const { component } = selection;
  return (
    <MatrixFigure
      theme={theme}
      model={model}
      marks={{ selected: component && componentId(component), row: component && rowId(component.layer) }}
      numbers={layout.numbers}
      heading={
        <>
          <h2>{model.title}</h2>
          <DivergingKey
            theme={theme}
            max={model.max}
            unit="logits"
            beyond={beyondScale(componentValues(document), model.max)}
          />
        </>
      }
      onSelect={(cell) => {
        const picked = componentOf(cell.id);
        if (picked) actions.selectComponent(picked);
      }}
      onCopy={actions.copy}
      onTable={() => actions.setView({ table: !view.table })}
    />
  );
}

/** Logit lens, layer × position, on the same layer axis. */
function LensFigure(props: TracePartProps): VNode {
  const { document, state, theme, selection, actions, view } = props;
  const { start, end, layout } = useSetup(props);
  const { lens, lensError } = state;
  const model = useMemo(() => lensModel(document, lens, layout, { start, end }), [document, lens, layout, start, end]);
  const { token, component } = selection;
  const inWindow = token !== null && token >= start && token < end;
  const row = component ? rowId(component.layer) : null;
  const heading = (
    <>
      <h2>{model.title}</h2>
      {lens ? (
        <DivergingKey
          theme={theme}
          max={model.max}
          unit={layout.lensWidth * (end - start) > 420 ? `logits, ${document.observable.label}` : 'logits'}
          beyond={beyondScale(lens.values.flat(), model.max)}
        />
      ) : null}
    </>
  );
  if (lensError !== null) {
    return (
      <section class="m-figure" aria-label={model.title}>
        <div class="m-heading">{heading}</div>
        <ErrorState what="The logit lens failed" message={lensError} onShowLog={actions.showLog} />
      </section>
    );
  }
  const number = isHighContrast(theme.palette) ? 'underline and number' : 'tint';
  return (
    <MatrixFigure
      theme={theme}
      model={model}
      marks={{
        selected: inWindow && row ? lensCellId(row, token) : null,
        row,
        column: inWindow ? token - start : null,
      }}
      numbers={layout.numbers}
      heading={heading}
      caption={
        lens
          ? `cell: top token after the layer · ${number}: ${document.observable.label} · columns: position`
          : 'The logit lens is being computed.'
      }
      onSelect={(cell) => actions.selectToken(lensPositionOf(cell.id))}
      onCopy={actions.copy}
      onTable={() => actions.setView({ table: !view.table })}
    />
  );
}

/** The row of figures on one layer axis; under each other in a narrow panel. */
export function TraceFigures(props: TracePartProps): VNode {
  const { layout } = useSetup(props);
  return (
    <div class={layout.beside ? 'm-row' : 'm-column'}>
      <ComponentsFigure {...props} />
      <LensFigure {...props} />
    </div>
  );
}
