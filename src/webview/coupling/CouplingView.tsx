import type { VNode } from 'preact';
import { useMemo } from 'preact/hooks';
import { headsWriteTo } from '../../shared/features.ts';
import { signed } from '../../shared/format.ts';
import { LinkButton } from '../figures/Button.tsx';
import { DivergingKey } from '../figures/DivergingKey.tsx';
import { cornerPath } from '../figures/Mark.tsx';
import { MatrixFigure } from '../figures/MatrixFigure.tsx';
import type { Theme } from '../figures/theme.ts';
import { couplingBeyond, couplingMatrix, couplingSize } from './couplingMatrix.ts';
import { chosenPair, type Pair, pairId } from './couplingOrder.ts';
import { type CouplingProps, couplingLayout } from './couplingProps.ts';
import { flaggedText, measureFormulas, normalisesText } from './couplingText.ts';
import { Measured } from './Measured.tsx';
import { NormSection } from './NormSection.tsx';

function Flag({ theme }: { theme: Theme }): VNode {
  return (
    <svg class="m-flag" width={9} height={9} aria-hidden="true">
      <path d={cornerPath(9, 0, 9)} fill={theme.palette.foreground} />
    </svg>
  );
}

function Matrix({ theme, picture, view, actions, width, pair }: CouplingProps & { pair: Pair }): VNode {
  const { measure, grouping } = view;
  const model = useMemo(
    () => couplingMatrix(picture, { measure, grouping, width }),
    [picture, measure, grouping, width],
  );
  const flagged = flaggedText(picture);
  return (
    <section class="m-coupling-matrix">
      <MatrixFigure
        theme={theme}
        model={model}
        marks={{ selected: pairId(pair) }}
        numbers={view.numbers ?? couplingSize(picture, { grouping, width }).numbersFit}
        heading={
          <>
            <h2>{model.title}</h2>
            <DivergingKey theme={theme} max={model.max} unit="" beyond={couplingBeyond(model)} />
            <h3>{measureFormulas[measure]}</h3>
          </>
        }
        onSelect={(cell) => actions.select(picture.id, cell.id)}
        onCopy={actions.copy}
        onTable={actions.table}
      />
      <p class="m-coupling-note">
        {flagged === null ? null : (
          <>
            <Flag theme={theme} /> {flagged}{' '}
          </>
        )}
        {normalisesText(measure, picture)}
      </p>
    </section>
  );
}

interface PairLineProps extends Pick<CouplingProps, 'picture' | 'actions'> {
  readonly at: number;
  readonly what: string;
}

function PairLine({ picture, actions, at, what }: PairLineProps): VNode {
  const { observable, node, norm, path, terms } = picture.features[at];
  // Heads are mapped between the two prompts of pairs, and none writes what the first block reads.
  const mapped = headsWriteTo(node) && picture.norms.some(({ boundary }) => boundary !== null);
  const named = terms === observable ? '' : `, ${terms}`;
  return (
    <>
      <dt>{what}</dt>
      <dd>
        <span>
          {`${observable} at `}
          {mapped ? (
            <LinkButton
              label={node}
              title={`Map the Heads That Write ${observable} at ${node}`}
              onClick={() => actions.request({ type: 'mapHeads', feature: at })}
            />
          ) : (
            node
          )}
        </span>
        <span class="m-quiet">{`norm ${signed(norm).replace('+', '')}, path ${path}${named}`}</span>
      </dd>
    </>
  );
}

function SelectedPair(props: Pick<CouplingProps, 'picture' | 'actions'> & { readonly pair: Pair }): VNode {
  const { pair, ...own } = props;
  return (
    <section class="m-coupling-pair">
      <h2>Selected pair</h2>
      <dl>
        <PairLine {...own} at={pair.row} what="row" />
        <PairLine {...own} at={pair.column} what="column" />
      </dl>
    </section>
  );
}

/** The panel of a coupling: the matrix and its pair, the pair on text, the final norm. */
export function CouplingView(props: CouplingProps): VNode {
  const { picture, view } = props;
  const { layout, matrix, detail } = couplingLayout(props.width);
  const pair = chosenPair(picture, view.selected[picture.id]);
  if (pair === null) return <p class="m-caption">Nothing to couple: the step names no features.</p>;
  return (
    <div class={`m-coupling m-coupling-${layout}`}>
      <div class="m-coupling-main">
        <Matrix {...props} width={matrix} pair={pair} />
        <SelectedPair picture={picture} actions={props.actions} pair={pair} />
      </div>
      <div class="m-coupling-detail" style={layout === 'beside' ? { width: `${detail}px` } : {}}>
        <Measured {...props} width={detail} pair={pair} />
        <NormSection {...props} width={detail} pair={pair} />
      </div>
    </div>
  );
}
