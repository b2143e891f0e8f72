import type { VNode } from 'preact';
import { useMemo } from 'preact/hooks';
import type { NormCard } from '../../shared/couplingPicture.ts';
import { count } from '../../shared/format.ts';
import { ChartFigure } from '../charts/ChartFigure.tsx';
import { LinkButton } from '../figures/Button.tsx';
import { Notice } from '../figures/States.tsx';
import type { Pair } from './couplingOrder.ts';
import type { CouplingProps } from './couplingProps.ts';
import { rhoWarning } from './couplingText.ts';
import { normDrawing } from './normDrawing.tsx';

type Props = CouplingProps & { readonly pair: Pair };

/** What the card answers. */
export const normTitle = 'Does the final norm turn this feature?';

/** What the grey is, and whose angles these are. */
export function normSubtitle({ observable, d, kind }: NormCard): string {
  return `${observable}. Grey: random observables, d = ${count(d)}, ${kind}. The theorem is about these only.`;
}

function Card({ theme, card, view, width, actions }: Props & { card: NormCard }): VNode {
  const drawing = useMemo(() => normDrawing(theme, card, width), [theme, card, width]);
  const id = `norm ${card.observable}`;
  return (
    <ChartFigure
      theme={theme}
      title={normTitle}
      drawing={drawing}
      noun="angles"
      heading={
        <>
          <h2>{normTitle}</h2>
          <h3>{normSubtitle(card)}</h3>
        </>
      }
      selected={view.selected[id] ?? null}
      onSelect={(mark) => actions.select(id, mark.id)}
      onCopy={actions.copy}
      onTable={actions.table}
    />
  );
}

/** The final norm and the observable of the selected row; nothing where its angles were not computed. */
export function NormSection(props: Props): VNode | null {
  const { picture, pair, actions } = props;
  const { observable } = picture.features[pair.row];
  const card = picture.norms.find((one) => one.observable === observable);
  if (card === undefined) return null;
  const warning = rhoWarning(picture, observable);
  return (
    <section class="m-coupling-norm">
      <Card {...props} card={card} />
      {warning === null ? null : (
        <Notice icon="warning">
          {`${warning.text} `}
          {warning.boundary ? (
            <LinkButton label="Use Boundary" onClick={() => actions.request({ type: 'useBoundary' })} />
          ) : null}
        </Notice>
      )}
    </section>
  );
}
