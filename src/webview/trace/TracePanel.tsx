import type { VNode } from 'preact';
import { scaledAttributions } from '../../shared/attributionScale.ts';
import { beyondScale, scaleMax } from '../../shared/scale.ts';
import { LinkButton } from '../figures/Button.tsx';
import { DivergingKey } from '../figures/DivergingKey.tsx';
import { OverviewBar } from '../figures/OverviewBar.tsx';
import { PanelHeader, Segmented } from '../figures/PanelHeader.tsx';
import { EmptyState, ErrorState, Notice, ProgressLine } from '../figures/States.tsx';
import { layoutStrip, roomBesideNumbers, TokenStrip } from '../figures/TokenStrip.tsx';
import { exportItems } from './exportItems.ts';
import { HeadSection } from './HeadSection.tsx';
import { LoadingFigures } from './LoadingFigures.tsx';
import { panelLayout } from './panelLayout.ts';
import { TraceFigures } from './TraceFigures.tsx';
import { TraceTables } from './TraceTables.tsx';
import type { TracePanelProps, TracePartProps } from './traceProps.ts';
import { allZero, firstBroken, nextTokens, stripWords, subtitleOf, titleOf } from './traceText.ts';
import { selectionIn, windowIn, windowSize } from './viewState.ts';

const methods = [
  { id: 'direct', label: 'Direct' },
  { id: 'occlusion', label: 'Occlusion' },
  { id: 'gradient-times-input', label: 'Gradient × Input' },
  { id: 'integrated-gradients', label: 'Integrated Gradients' },
  { id: 'observable-propagation', label: 'Propagation' },
] as const;

function Header({ document, view, width, theme, actions }: TracePartProps): VNode {
  const layout = panelLayout(document, view, theme, width);
  return (
    <PanelHeader
      title={titleOf(document)}
      subtitle={subtitleOf(document)}
      modes={<Segmented label="Method" choices={methods} value={document.method} onChange={actions.changeMethod} />}
      numbers={layout.numbers}
      table={view.table}
      exports={exportItems(selectionIn(document, view).component)}
      onNumbers={(numbers) => actions.setView({ numbers })}
      onTable={(table) => actions.setView({ table })}
      onExport={actions.exportAs}
    />
  );
}

function Notices({ document, state, actions, problem }: TracePartProps): VNode {
  const broken = firstBroken(document);
  return (
    <>
      {state.status === 'stale' ? (
        <Notice icon="history">
          {`Made with ${document.provenance.modelLabel} #${document.provenance.hash}, before the last change. `}
          <LinkButton label="Run Again" onClick={actions.runAgain} />
        </Notice>
      ) : null}
      {state.status === 'error' ? (
        <Notice icon="error">
          {`${state.error ?? 'The trace failed.'} What is shown is the last result. `}
          <LinkButton label="Show Log" onClick={actions.showLog} />
        </Notice>
      ) : null}
      {problem ? <Notice icon="error">{problem}</Notice> : null}
      {document.warnings.map((warning) => (
        <Notice key={warning} icon="warning">
          {warning}
        </Notice>
      ))}
      {broken ? <Notice icon="warning">{`Not a number from ${broken} on.`}</Notice> : null}
      {allZero(document) ? <Notice icon="info">Every head and MLP adds 0: there is nothing to rank.</Notice> : null}
    </>
  );
}

/** Px that the strip's key may need. */
const keyRoom = 300;

function Strip({ document, view, theme, width, selection, actions }: TracePartProps): VNode {
  const { start, end } = windowIn(document, view);
  const { inner } = panelLayout(document, view, theme, width);
  const max = scaleMax(scaledAttributions(document));
  const tokens = document.tokens
    .slice(start, end)
    .map(({ text }, i) => ({ position: start + i, text, value: document.attributions[start + i] ?? Number.NaN }));
  const next = end === document.tokens.length ? nextTokens(document) : [];
  const overview = document.tokens.length > windowSize;
  const beside = !overview && roomBesideNumbers(layoutStrip(tokens, next, inner), inner) > keyRoom;
  return (
    <section class="m-strip-section" aria-label="Prompt">
      <TokenStrip
        theme={theme}
        tokens={tokens}
        next={next}
        max={max}
        selected={selection.token}
        width={inner}
        total={document.tokens.length}
        onSelect={actions.selectToken}
      />
      <div class={beside ? 'm-strip-foot m-strip-beside' : 'm-strip-foot'}>
        <span class="m-strip-key">
          {stripWords(document)}
          <DivergingKey theme={theme} max={max} unit="logits" beyond={beyondScale(document.attributions, max)} />
        </span>
        {overview ? (
          <OverviewBar
            theme={theme}
            values={document.attributions}
            max={max}
            start={start}
            size={windowSize}
            width={Math.min(inner - 4, 480)}
            onStart={(windowStart) => actions.setView({ windowStart })}
          />
        ) : null}
      </div>
    </section>
  );
}

function Loaded(props: TracePartProps): VNode {
  const { state, actions, view } = props;
  return (
    <>
      <Header {...props} />
      <Notices {...props} />
      {state.status === 'loading' ? <ProgressLine progress={state.progress} onCancel={actions.cancel} /> : null}
      <Strip {...props} />
      {view.table ? <TraceTables {...props} /> : <TraceFigures {...props} />}
      <HeadSection {...props} />
    </>
  );
}

function Unloaded({ state, actions, theme, width }: TracePanelProps): VNode {
  if (state.status === 'error') {
    const message = state.error ?? 'The engine gave no reason.';
    return (
      <>
        <h1>{state.title}</h1>
        <ErrorState what="The prompt could not be traced" message={message} onShowLog={actions.showLog} />
      </>
    );
  }
  if (state.status === 'loading') {
    return (
      <>
        <h1>{state.title}</h1>
        <ProgressLine progress={state.progress} onCancel={actions.cancel} />
        <LoadingFigures theme={theme} width={width} />
      </>
    );
  }
  return (
    <>
      <h1>{state.title}</h1>
      <EmptyState
        text="A trace shows what each token, head and layer adds to an observable of the next token. Put the cursor on a prompt of a .prompt file."
        action="Trace Prompt"
        onAction={actions.runAgain}
      />
    </>
  );
}

/** The trace panel: a pure function of what the host sent, what the person set, the theme and the width. */
export function TracePanel(props: TracePanelProps): VNode {
  const { document } = props.state;
  return (
    <main class="m-panel" data-status={props.state.status}>
      {document && document.tokens.length > 0 ? (
        <Loaded {...props} document={document} selection={selectionIn(document, props.view)} />
      ) : (
        <Unloaded {...props} />
      )}
    </main>
  );
}
